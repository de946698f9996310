// Runs a model's own module. Standard input: the sizes of module and model as 32-bit integers, and both; then requests,
// each of five such integers, mode, count, width, height and channels, and its images. Standard output, for each: the
// sizes of two parts, what there is to say as JSON, and probabilities as float32 or pixels.
const input = process.stdin[Symbol.asyncIterator]();
let rest = Buffer.alloc(0);

async function take(size) {
  const parts = [rest];
  for (let missing = size - rest.length; missing > 0; missing -= parts.at(-1).length) {
    const { value, done } = await input.next();
    if (done) process.exit();
    parts.push(value);
  }
  const taken = Buffer.concat(parts);
  rest = taken.subarray(size);
  return taken.subarray(0, size);
}

async function integers(count) {
  const bytes = await take(4 * count);
  return Array.from({ length: count }, (_, i) => bytes.readInt32LE(4 * i));
}

const [moduleSize, modelSize] = await integers(2);
const code = await take(moduleSize), model = await take(modelSize);
const { KitError, load } = await import(`data:text/javascript;base64,${code.toString("base64")}`);
const [OPEN, PROBABILITIES, PIXELS, SELFTEST] = [0, 1, 2, 3];
let classifier;

async function answer(mode, data, width, height) {
  if (mode === OPEN) classifier = await load(model);
  if (mode === SELFTEST) return [{ difference: await classifier.selftest() }, []];
  const images = mode === PIXELS ? data.map((one) => classifier.pixels({ width, height, data: one }))
    : data.map(async (one) => new Uint8Array((await classifier.probabilities(one)).buffer));
  return [{ labels: classifier.labels }, await Promise.all(images)];
}

for (;;) {
  const [mode, count, width, height, channels] = await integers(5), size = width * height * channels;
  const bytes = await take(count * size);
  const images = Array.from({ length: count }, (_, i) => Uint8Array.from(bytes.subarray(i * size, (i + 1) * size)));
  let said, parts = [];
  try {
    [said, parts] = await answer(mode, images, width, height);
  } catch (error) {
    if (!(error instanceof KitError)) throw error;
    said = { error: error.message };
  }
  const text = Buffer.from(JSON.stringify(said)), computed = Buffer.concat(parts), head = Buffer.alloc(8);
  head.writeInt32LE(text.length);
  head.writeInt32LE(computed.length, 4);
  process.stdout.write(Buffer.concat([head, text, computed]));
}
