// Classifies images with the .onnx and .int8.onnx files that `kit export` writes for models on pixels, in browsers and
// in Node. softmax-kit.d.ts says what is exported, docs/artefact.md how the file is built and what becomes of an image.

export class KitError extends Error {
  name = "KitError";
}

const fail = (expected, found, remedy = "export it again") => {
  throw new KitError(`expected ${expected}, found ${found}: ${remedy}`);
};
const damaged = (found) => fail("the file as written", found, "it was damaged, copy it again");
const guarded = async (expected, work, remedy) => {
  try {
    return await work();
  } catch (error) {
    throw error instanceof KitError ? error : fail(expected, error.message, remedy);
  }
};
const latin1 = (bytes) => new TextDecoder("latin1").decode(bytes);
const utf8 = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
const product = (numbers) => numbers.reduce((one, other) => one * other, 1);
const sumOf = (numbers) => numbers.reduce((one, other) => one + other);

// Browsers have a sha256 of their own, and a fast one, on secure pages alone.
async function sha256(bytes) {
  const primes = [], native = await globalThis.crypto?.subtle?.digest("SHA-256", bytes);
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  const bits = (root) => ((root % 1) * 2 ** 32) | 0, turned = (x, n) => (x >>> n) | (x << (32 - n));
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64), w = [];
  padded.set(bytes);
  padded[bytes.length] = 128;
  let hash = primes.slice(0, 8).map((prime) => bits(Math.sqrt(prime)));
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, bytes.length * 8);
  for (let start = 0; !native && start < padded.length; start += 64) {
    let state = hash;
    for (let i = 0; i < 64; i++) {
      const [a, b, c, d, e, f, g, h] = state, x = w[i - 15], y = w[i - 2];
      w[i] = i < 16 ? view.getInt32(start + 4 * i) : (w[i - 16] + (turned(x, 7) ^ turned(x, 18) ^ (x >>> 3))
        + w[i - 7] + (turned(y, 17) ^ turned(y, 19) ^ (y >>> 10))) | 0;
      const sum = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g))
        + bits(Math.cbrt(primes[i])) + w[i];
      const more = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      state = [(sum + more) | 0, a, b, c, (d + sum) | 0, e, f, g];
    }
    hash = hash.map((word, i) => (word + state[i]) | 0);
  }
  if (native) hash = hash.map((_, i) => new DataView(native).getInt32(4 * i));
  return hash.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

async function checkSeal(bytes) {
  const mark = "kit-seal-sha256:", [before, after, ...more] = latin1(bytes).split(mark);
  const start = before.length + mark.length;
  if (!after || more.length) fail("an artefact made by `kit export`", "no seal");
  if (await sha256(bytes.slice().fill(48, start, start + 64)) !== after.slice(0, 64)) damaged("another sha256");
}

// The fields of a protobuf message, by number, each with all its values.
function message(bytes) {
  const found = {};
  let at = 0;
  const varint = () => {
    let value = 0, byte = 128;
    for (let unit = 1; byte > 127; unit *= 128) value += ((byte = bytes[at++]) & 127) * unit;
    return value;
  };
  while (at < bytes.length) {
    const key = varint(), type = key % 8;
    let value = type === 0 || type === 2 ? varint() : { 1: 8, 5: 4 }[type];
    if (type) value = bytes.subarray(at, (at += value));
    if (!(at <= bytes.length)) damaged("less");
    (found[(key - type) / 8] ??= []).push(value);
  }
  return found;
}

// The graph: the nodes that the probabilities need, which leaves out those of familiarity, are one of four plans.

const behind = (sums) => `ReduceMax(${sums})largest 1,1; Sub(${sums},largest)behind `;
const scaled = (sums) => `Cast(${sums})float_sums 1; Mul(float_sums,scale)scaled ; Add(scaled,bias)logits `;
const INTEGER = "Flatten(images)pixels 1; MatMulInteger(pixels,weights,pixels_zero,weights_zero)sums ; ";
const PLANS = [
  "Cast(images)pixels 1; Flatten(pixels)features 1; Gemm(features,weights,bias)logits ",
  "Cast(images)pixels 1; Sub(pixels,centre)centred ; Flatten(centred)features 1; Gemm(features,weights,bias)both ; "
  + `Split(both,halves)sums,small 1; ${behind("sums")}; Mul(behind,step)leading ; Add(leading,small)logits `,
  INTEGER + scaled("sums"),
  `${INTEGER}Sub(sums,offset)centred ; ${behind("centred")}; ${scaled("behind")}`,
].map((plan) => `${plan}; Softmax(logits)probabilities 1`);
const TYPES = { 1: Float32Array, 2: Uint8Array, 6: Int32Array, 7: BigInt64Array };

const words = (texts = []) => texts.map(utf8);

function planOf(nodes) {
  const needed = new Set(["probabilities"]), steps = [];
  for (const { 1: inputs, 2: outputs, 4: type, 5: attributes = [], 7: domain } of nodes.map(message).reverse()) {
    if (!words(outputs).some((name) => needed.has(name))) continue;
    words(inputs).forEach((name) => needed.add(name));
    const values = attributes.map(message).map(({ 3: value = "?", 8: list = value }) => list);
    steps.unshift(`${words(domain)}${words(type)}(${words(inputs)})${words(outputs)} ${values}`
      .replace(",axes)largest 1", ")largest 1,1"));
  }
  const plan = PLANS.indexOf(steps.join("; "));
  const other = steps.find((step) => !`${PLANS}`.includes(step)) ?? steps;
  return plan >= 0 ? plan : fail("a model on pixels", other, "run it with onnxruntime-web");
}

// Returns the function from pixels to probabilities.
function graphOf(bytes, shape, classes) {
  const { 1: nodes, 5: tensors } = message(bytes), constants = {};
  const plan = planOf(nodes), integer = plan > 1, centred = plan % 2;
  for (const { 1: dims = [], 2: [type], 8: [name], 9: [raw] = [] } of tensors.map(message)) {
    if (TYPES[type] && raw) constants[utf8(name)] = [new TYPES[type](raw.slice().buffer), `${dims}`];
  }
  const get = (name, Type, ...shapes) => {
    const [data, dims] = constants[name];
    const fits = shapes.some((due) => `${due}` === dims && product(due) === data.length);
    return fits && data.constructor === Type ? data : fail(`${name} [${shapes}]`, `[${dims}]`);
  };
  const { halves: [halves] = [[classes, classes]], axes: [axes] = [[1]] } = constants;
  if (`${halves} ${axes}` !== `${classes},${classes} 1`) fail("other halves or axes", halves);
  const F = Float32Array, U = Uint8Array, rows = product(shape), columns = plan === 1 ? 2 * classes : classes;
  const weights = get("weights", integer ? U : F, [rows, columns]), bias = get("bias", F, [columns]);
  const [zero] = integer ? get("weights_zero", U, []) : [0];
  const centre = plan === 1 ? get("centre", F, shape, [shape[2]]) : integer ? get("pixels_zero", U, []) : [0];
  const offset = plan > 2 ? get("offset", Int32Array, [classes]) : new F(classes);
  const scale = integer ? get("scale", F, [classes]) : centred ? get("step", F, []) : [1];
  return (pixels) => {
    const sums = new Float64Array(columns);
    for (let i = 0, at = 0; i < rows; i++) {
      const value = pixels[i] - centre[i % centre.length];
      for (let k = 0; k < columns; k++) sums[k] += value * (weights[at++] - zero);
    }
    const first = sums.subarray(0, classes).map((sum, k) => sum - offset[k]), most = centred ? Math.max(...first) : 0;
    const logits = F.from(first, (sum, k) => Math.fround(Math.fround(sum - most) * scale[k % scale.length])
      + (plan === 1 ? Math.fround(sums[classes + k] + bias[classes + k]) : bias[k]));
    const highest = Math.max(...logits), powers = Float64Array.from(logits, (logit) => Math.exp(logit - highest));
    const total = sumOf(powers), answer = F.from(powers, (power) => power / total);
    return answer.every(Number.isFinite) ? answer : fail("probabilities", "NaN");
  };
}

// What goes with the graph.

const isWhole = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;
const isShare = (value) => typeof value === "number" && value >= 0 && value <= 1;

function checkEntries({ version, labels, image, golden, decision }) {
  const { height, width, color, fit, filter, fill } = image;
  if (!/^[12]\.\d+$/.test(version)) fail("an artefact of format 1 or 2", version, "use a newer softmax-kit.mjs");
  const channels = { L: 1, RGB: 3 }[color], thresholds = (version > "2" && decision?.thresholds) || [];
  const holds = {
    labels: labels[1] && new Set(labels).size === labels.length
      && labels.every((label) => label && typeof label === "string"),
    image: isWhole(height, 1, 16384) && isWhole(width, 1, 16384) && channels && filter === "bilinear"
      && /^(stretch|crop|pad)$/.test(fit)
      && (fit === "pad" ? fill.length === channels && fill.every((value) => isWhole(value, 0, 255)) : !fill),
    golden: isShare(golden.tolerance) && golden.probabilities[0]
      && golden.probabilities.every((row) => row.length === labels.length && row.every(isShare)),
    decision: thresholds.every(({ label, probability }) =>
      isShare(probability) && (label === null || labels.includes(label))),
  };
  for (const name in holds) if (!holds[name]) fail(`kit.${name} as docs/artefact.md has it`, "another");
  return [[height, width, channels], thresholds];
}

// Golden images, one after another: raw, or as PNG's rows, filtered and deflated.
async function goldenPixels({ images, encoding, probabilities: { length } }, [height, width, channels]) {
  const content = Uint8Array.from(atob(images), (letter) => letter.charCodeAt(0));
  if (encoding !== "png-rows") return content;
  const row = width * channels, lines = length * height, rows = new Uint8Array(lines * (row + 1)), pixels = [];
  const reader = new Blob([content]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  for (let part, at = 0; !(part = await reader.read()).done; at += part.value.length) rows.set(part.value, at);
  for (let y = 0, from = 0; y < lines; y++) {
    const type = rows[from++];
    for (let x = 0; x < row; x++) {
      const before = [0, x < channels ? 0 : pixels.at(-channels), pixels.at(-row) ?? 0];
      pixels.push((rows[from++] + before[type]) & 255);
    }
  }
  return Uint8Array.from(pixels);
}

// The image contract, in Pillow's integers.

const ratio = (dividend, divisor) => Math.max(1, Math.floor((2 * dividend + divisor) / (2 * divisor)));

// Resizes the first side of an image [count, lines], and puts it last: [lines, size].
function resized(pixels, count, lines, size) {
  const result = new Uint8ClampedArray(lines * size), reach = 2 * Math.max(count, size);
  for (let place = 0; place < size; place++) {
    const middle = (2 * place + 1) * count, shares = [];
    const first = Math.max(0, Math.ceil((middle - reach) / (2 * size) - 0.5));
    for (let i = first, share; i < count && (share = reach - Math.abs((2 * i + 1) * size - middle)) >= 0; i++) {
      shares.push(share);
    }
    const total = sumOf(shares), sums = new Float64Array(lines).fill(2 ** 21);
    shares.forEach((share, i) => {
      const units = 2 ** 23 * share + total, unit = (units - (units % (2 * total))) / (2 * total);
      for (let line = 0, at = (first + i) * lines; line < lines; line++) sums[line] += unit * pixels[at++];
    });
    sums.forEach((sum, line) => { result[line * size + place] = Math.floor(sum / 2 ** 22); });
  }
  return result;
}

function conformed({ width: across, height: down, data }, { height, width, fit, fill }, channels) {
  const from = data.length / (across * down), wide = across * height > down * width;
  const fits = isWhole(across, 1, 64e6) && isWhole(down, 1, 64e6) && /Uint8/.test({}.toString.call(data));
  if (!fits || ![1, 3, 4].includes(from)) {
    fail("uint8 data of 1, 3 or 4 channels", `${data.length} numbers for ${across} × ${down}`, "pass raw pixels");
  }
  let w = width, h = height, columns = across, rows = down;
  if (fit === "crop") wide ? (columns = ratio(down * width, height)) : (rows = ratio(across * height, width));
  if (fit === "pad") wide ? (h = ratio(down * width, across)) : (w = ratio(across * height, down));
  const left = (across - columns) >> 1, top = (down - rows) >> 1, x0 = (width - w) >> 1, y0 = (height - h) >> 1;
  const pixels = Uint8Array.from({ length: height * width * channels }, (_, i) => fill?.[i % channels]);
  const part = new Uint8Array(columns * rows);
  for (let channel = 0; channel < channels; channel++) {
    for (let x = left, to = 0; x < left + columns; x++) {
      for (let y = top; y < top + rows; y++) {
        const at = (y * across + x) * from, alpha = data[at + 3];
        const shown = (place) => {
          const value = data[from < 3 ? at : at + place], sum = (value * alpha + 255 * (255 - alpha) + 128) * 128;
          return from < 4 ? value : (sum + (sum >> 8)) >> 15;
        };
        part[to++] = channels > 1 ? shown(channel)
          : (19595 * shown(0) + 38470 * shown(1) + 7471 * shown(2) + 32768) >> 16;
      }
    }
    const fitted = resized(resized(part, columns, rows, w), rows, w, h);
    fitted.forEach((value, i) => {
      pixels[((y0 + (i % h)) * width + x0 + (i - (i % h)) / h) * channels + channel] = value;
    });
  }
  return pixels;
}

// Decoding, by the browser, whose canvas keeps what transparent pixels are over white, though not their colours.
const TURNED = /^RIFF[^]{4}WEBP[^]*EXIF[^]{9,999}(\x12\x01\x03\0\x01\0\0\0|\x01\x12\0\x03\0\0\0\x01\0)[^\x01]/;

async function decoded(source, shift) {
  if (source instanceof Blob || source instanceof ArrayBuffer) {
    source = new Blob([source]);
    const content = latin1(await source.arrayBuffer());
    if (shift < 8 && /^.PNG[^]{20}\x10/.test(content)) fail("8-bit pixels", "16 bits", "classify it in Python");
    if (TURNED.test(content)) fail("an upright WebP image", "an EXIF orientation", "save it upright");
  }
  const bitmap = await createImageBitmap(source, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const { width, height } = bitmap, canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}

async function classifier(bytes) {
  await checkSeal(bytes);
  const { 7: [graph], 14: props } = message(bytes), entries = {};
  for (const { 1: [name], 2: [value] } of props.map(message)) {
    const [, key] = /^kit\.(?!seal$)(.*)/.exec(utf8(name)) ?? [];
    if (key) entries[key] = JSON.parse(utf8(value));
  }
  const [shape, thresholds] = checkEntries(entries), { labels, image: contract, golden, ...others } = entries;
  const answer = graphOf(graph, shape, labels.length), size = product(shape), { tolerance } = golden;

  const pixels = (image) => guarded("an image that can be decoded here", async () => {
    if (!(image instanceof Uint8Array)) {
      return conformed(image?.data ? image : await decoded(image, contract.shift), contract, shape[2]);
    }
    return image.length === size ? image : fail(`${size} pixels`, image.length, "pass { width, height, data }");
  }, "use PNG, JPEG or raw pixels");
  const probabilities = async (image) => answer(await pixels(image));
  const classify = async (image, { topK = 1 } = {}) => {
    const found = await probabilities(image), order = [...found.keys()].sort((one, other) => found[other] - found[one]);
    const [index] = order, top = order.slice(0, topK).map((place) => [labels[place], found[place]]);
    const passes = ({ label, probability }) => (label === null ? found[index] >= probability
      : label === labels[index] || found[labels.indexOf(label)] < probability);
    return { label: labels[index], probability: found[index], index, top,
      accepted: thresholds.length ? thresholds.every(passes) : null };
  };
  const selftest = () => guarded("golden examples", async () => {
    const images = await goldenPixels(golden, shape);
    const difference = Math.max(...golden.probabilities.flatMap((row, i) =>
      [...answer(images.subarray(i * size, (i + 1) * size)).map((found, k) => Math.abs(found - row[k]))]));
    return difference <= tolerance ? difference
      : fail(`golden examples within ${tolerance}`, difference.toPrecision(3), "do not use this file on this device");
  });
  const info = () => structuredClone({
    ...others, labels, image: contract, golden: { examples: golden.probabilities.length, tolerance },
  });
  return { labels: [...labels], info, pixels, probabilities, classify, selftest };
}

export const load = (source) => guarded("an artefact made by `kit export`", async () => {
  if (typeof source === "string" || source instanceof URL) source = await (await fetch(source)).arrayBuffer();
  return classifier(new Uint8Array(source.buffer ?? source, source.byteOffset ?? 0, source.byteLength));
});
