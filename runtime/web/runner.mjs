// Runs a model's own module. Standard input: six 32-bit integers, then the module, the model and the images.
// Standard output: a line of JSON, then probabilities as float32, or pixels.
import { buffer } from "node:stream/consumers";

const HEAD = 24;
const given = await buffer(process.stdin), mode = process.argv[2];
const [moduleSize, modelSize, count, width, height, channels] = [0, 4, 8, 12, 16, 20].map((at) => given.readInt32LE(at));
const code = given.subarray(HEAD, HEAD + moduleSize), start = HEAD + moduleSize + modelSize;
const { KitError, load } = await import(`data:text/javascript;base64,${code.toString("base64")}`);

async function answer(classifier, data) {
  if (mode === "pixels") return classifier.pixels({ width, height, data });
  return new Uint8Array((await classifier.probabilities(data)).buffer);
}

const parts = [], size = width * height * channels;
let said;
try {
  const classifier = await load(given.subarray(HEAD + moduleSize, start));
  said = { labels: classifier.labels };
  if (mode === "selftest") said.difference = await classifier.selftest();
  for (let i = 0; i < count; i++) {
    parts.push(await answer(classifier, Uint8Array.from(given.subarray(start + i * size, start + (i + 1) * size))));
  }
} catch (error) {
  if (!(error instanceof KitError)) throw error;
  said = { error: error.message };
}
process.stdout.write(Buffer.concat([Buffer.from(`${JSON.stringify(said)}\n`), ...parts]));
