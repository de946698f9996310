// Loads damaged files: prints how each was refused, and what those answer that are not, for one image each, as JSON.
// Arguments: the module, the model, the number of files. With "sealed", each damaged file gets the seal that it needs.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [path, place, count, sealed] = process.argv.slice(2);
const { KitError, load } = await import(pathToFileURL(path).href);
const model = readFileSync(place), seal = model.indexOf("kit-seal-sha256:") + 16;
let state = 1;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor(state / 2 ** 32 * below);
};

const DAMAGES = [
  (data) => { data[random(data.length)] ^= 1 << random(8); return data; },
  (data) => { data[random(data.length)] = random(256); return data; },
  (data) => data.subarray(0, random(data.length)),
  (data) => { const at = random(data.length); return Buffer.concat([data.subarray(0, at), data.subarray(at + 1 + random(16))]); },
  (data) => { const at = random(data.length); return Buffer.concat([data.subarray(0, at), data.subarray(at - 1 - random(64))]); },
  (data) => { const at = random(data.length); return data.fill(random(2) * 255, at, Math.min(data.length, at + 1 + random(32))); },
  (data) => { for (let i = random(20); i >= 0; i--) data[random(data.length)] = random(256); return data; },
];

function resealed(data) {
  const at = data.indexOf("kit-seal-sha256:") + 16;
  if (at < 16 || data.length < at + 64) return data;
  data.write("0".repeat(64), at);
  data.write(createHash("sha256").update(data).digest("hex"), at);
  return data;
}

const refused = {}, accepted = [];
for (let i = 0; i < Number(count); i++) {
  let damaged = DAMAGES[i % DAMAGES.length](Buffer.from(model));
  if (damaged.equals(model)) continue;
  if (sealed) damaged = resealed(damaged);
  try {
    const classifier = await load(damaged), { height, width, color } = classifier.info().image;
    const image = Uint8Array.from({ length: height * width * (color === "L" ? 1 : 3) }, (_, at) => (at * 37) % 256);
    const probabilities = [...await classifier.probabilities(image)];
    accepted.push({ model: damaged.toString("base64"), labels: classifier.labels, probabilities });
  } catch (error) {
    if (!(error instanceof KitError) || !/^expected [^]+, found [^]*: [^]+$/.test(error.message)) throw error;
    refused[error.message.slice(0, 40)] = (refused[error.message.slice(0, 40)] ?? 0) + 1;
  }
}
console.log(JSON.stringify({ seal, refused, accepted }));
