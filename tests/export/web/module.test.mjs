// The module's interface, run by `node --test`; KIT_FOLDER is a folder that `kit export --format js` wrote.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.KIT_FOLDER;
const { KitError, load } = await import(pathToFileURL(`${folder}/softmax-kit.mjs`).href);
const bytes = await readFile(`${folder}/model.onnx`);
const classifier = await load(bytes);
const black = new Uint8Array(64);
const isKitError = (pattern) => (error) => error instanceof KitError && pattern.test(error.message);

test("a model comes as a buffer, a view, an ArrayBuffer or an address", async () => {
  const offset = new Uint8Array([0, ...bytes, 0]).subarray(1, bytes.length + 1);
  const address = `data:application/octet-stream;base64,${bytes.toString("base64")}`;
  for (const source of [bytes, offset, new DataView(offset.buffer, 1, bytes.length), Uint8Array.from(bytes).buffer,
    address, new URL(address)]) {
    assert.deepEqual((await load(source)).labels, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  }
});

test("an answer", async () => {
  const found = await classifier.probabilities(black), { top, ...best } = await classifier.classify(black, { topK: 3 });
  const order = [...found.keys()].sort((one, other) => found[other] - found[one]);
  assert.ok(found instanceof Float32Array && Math.abs(found.reduce((one, other) => one + other) - 1) < 1e-6);
  assert.deepEqual(top, order.slice(0, 3).map((index) => [String(index), found[index]]));
  assert.deepEqual(best, { label: String(order[0]), probability: found[order[0]], index: order[0], accepted: null });
  assert.equal((await classifier.classify(black)).top.length, 1);
  assert.equal((await classifier.classify(black, { topK: 99 })).top.length, 10);
});

test("raw pixels of any size, in 1, 3 or 4 channels", async () => {
  const grey = Uint8Array.from({ length: 64 }, (_, i) => 4 * i), image = { width: 8, height: 8 };
  const expected = await classifier.probabilities(grey);
  for (const data of [grey, new Uint8ClampedArray(grey), Buffer.from(grey), Uint8Array.from([...grey].flatMap((v) => [v, v, v])),
    Uint8ClampedArray.from([...grey].flatMap((v) => [v, v, v, 255]))]) {
    assert.deepEqual(await classifier.probabilities({ ...image, data }), expected);
  }
  const transparent = { ...image, data: new Uint8Array(256) };
  assert.deepEqual(await classifier.pixels(transparent), new Uint8Array(64).fill(255));
});

test("what is told of the model is a copy", async () => {
  const info = classifier.info();
  assert.deepEqual([info.image.width, info.golden, info.provenance.data.name], [8, { examples: 10, tolerance: 0.05 }, "digits"]);
  info.labels[0] = info.image.width = 99;
  assert.deepEqual([classifier.info().labels[0], classifier.info().image.width], ["0", 8]);
  assert.ok(await classifier.selftest() < 0.01);
});

test("the seal of files of every length, by the browser's sha256 and by the module's own", async () => {
  const { crypto } = globalThis;
  for (let more = 0; more < 64; more++) {
    const longer = Buffer.concat([bytes, Buffer.from([0xa2, 0x06, more]), Buffer.alloc(more)]); // an unknown field
    const at = longer.indexOf("kit-seal-sha256:") + 16;
    longer.write("0".repeat(64), at);
    longer.write(createHash("sha256").update(longer).digest("hex"), at);
    for (const value of [crypto, undefined]) {
      Object.defineProperty(globalThis, "crypto", { value, configurable: true, writable: true });
      await load(longer);
      await assert.rejects(load(Buffer.concat([longer, Buffer.from([0])])), isKitError(/found another sha256/));
    }
  }
  globalThis.crypto = crypto;
});

const IMAGES = [
  [new Uint8Array(63), /^expected 64 pixels, found 63: pass \{ width, height, data \}$/],
  [{ width: 8, height: 8, data: new Uint8Array(63) }, /^expected uint8 data of 1, 3 or 4 channels, found 63 numbers for 8 × 8/],
  [{ width: 8, height: 8, data: new Float32Array(64) }, /^expected uint8 data/],
  [{ width: 8, height: 8, data: new Int8Array(64) }, /^expected uint8 data/],
  [{ width: 8, height: 8, data: new Array(64).fill(1) }, /^expected uint8 data/],
  [{ width: 2.5, height: 2, data: new Uint8Array(5) }, /^expected uint8 data/],
  [{ width: 0, height: 0, data: new Uint8Array(0) }, /^expected uint8 data/],
  [{ width: -8, height: -8, data: new Uint8Array(64) }, /^expected uint8 data/],
  ...[undefined, null, 7, "image.png", {}, new Blob(["no image"])].map((image) => [image, /^expected an image that can be decoded here, found .*: use PNG/]),
];

test("what is no image is refused", async () => {
  for (const [image, pattern] of IMAGES) await assert.rejects(classifier.classify(image), isKitError(pattern), String(image));
});

const FILES = [
  [new Uint8Array(0), /^expected an artefact made by `kit export`, found no seal: export it again$/],
  [new TextEncoder().encode("hello"), /found no seal/],
  [bytes.subarray(0, 4000), /^expected .*, found (another sha256|no seal): /],
  [Buffer.concat([bytes, bytes]), /found no seal/],
  [Buffer.concat([bytes, Buffer.from([0])]), /^expected the file as written, found another sha256: it was damaged/],
  ...[undefined, null, 7, {}, "data:,hello", "no address"].map((source) => [source, /^expected an artefact made by `kit export`, found .*: export it again$/]),
];

test("what is no artefact is refused", async () => {
  for (const [source, pattern] of FILES) await assert.rejects(load(source), isKitError(pattern), String(source).slice(0, 20));
});
