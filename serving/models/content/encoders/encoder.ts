/**
 * Port of encoders: what turns an item's text or picture into a vector.
 *
 * Built in and always there are `lsa` (lsa-text.ts, learnt from the texts it is fitted on) and `descriptors`
 * (image-descriptors.ts, fixed formulas). A folder with a network in ONNX plugs in beside them (sentence-transformer.ts,
 * image-network.ts).
 *
 * Invariant: same input, same vector, on every call; vectors have length 1, or are all zero where there was nothing to
 * encode. Vectors of encoders with different ids are never compared.
 */

export interface TextEncoder {
  /** Names encoder and weights: `lsa/…`, `onnx/all-minilm-l6-v2/…`. */
  readonly id: string;
  readonly dimensions: number;
  /** Row r is text r. Encoders that compute at once return the rows themselves, networks a promise. */
  encode(texts: readonly string[]): Float32Array | Promise<Float32Array>;
  /** What a direction of the space is about, strongest words first; absent where nobody knows. */
  topicTerms?(dimension: number, sign: 1 | -1): readonly string[];
  close(): Promise<void>;
}

export interface ImageEncoder {
  readonly id: string;
  readonly dimensions: number;
  /** @param bytes JPEG, PNG or WebP. Undefined where they are not a picture that can be read. */
  encode(bytes: Uint8Array): Promise<Float32Array | undefined>;
  close(): Promise<void>;
}

/** Divides a vector by its length in place; what has none stays zero. */
export function normalize(vector: Float32Array): Float32Array {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += vector[i]! * vector[i]!;
  if (squares > 0) {
    const factor = 1 / Math.sqrt(squares);
    for (let i = 0; i < vector.length; i++) vector[i]! *= factor;
  }
  return vector;
}
