/** An image in a browser: a file as Blob, File or ArrayBuffer, an element, a bitmap; anywhere: raw pixels. */
export type Image =
  | Blob
  | ArrayBuffer
  | ImageBitmapSource
  /** 8-bit pixels, row by row, of any size: 1 channel is grey, 3 are RGB, 4 are RGBA, which is put over white. */
  | { width: number; height: number; data: Uint8Array | Uint8ClampedArray }
  /** Pixels of the model's own size and colour: height × width × channels. */
  | Uint8Array;

export interface Prediction {
  /** The name of the most probable class, its probability, 0-1, and its place in `labels`. */
  label: string;
  probability: number;
  index: number;
  /** The `topK` most probable classes, best first. */
  top: [label: string, probability: number][];
  /** Whether the answer passes the thresholds in the file; null without any. Familiarity is not looked at. */
  accepted: boolean | null;
}

export interface Classifier {
  /** The class names, in output order. */
  readonly labels: string[];
  /** What goes with the model: the entries that docs/artefact.md lists, without the images of `golden`. */
  info(): { labels: string[]; golden: { examples: number; tolerance: number }; [entry: string]: unknown };
  /** Classify an image. Rejects with a KitError, as all of these do. */
  classify(image: Image, options?: { topK?: number }): Promise<Prediction>;
  /** The probability of every class, in the order of `labels`; their sum is 1. */
  probabilities(image: Image): Promise<Float32Array>;
  /** Bring an image to the model's size and colour: height × width × channels. */
  pixels(image: Image): Promise<Uint8Array>;
  /** Run the golden examples: the largest difference in probability. Rejects where one is beyond the tolerance. */
  selftest(): Promise<number>;
}

/** What every failure is: the message says what was expected, what was found, and what to do. */
export class KitError extends Error {}

/**
 * Open an .onnx or .int8.onnx file that `kit export` wrote for a model on pixels; checks its seal and metadata.
 *
 * source: its bytes, or in browsers its address.
 */
export function load(source: ArrayBuffer | ArrayBufferView | string | URL): Promise<Classifier>;
