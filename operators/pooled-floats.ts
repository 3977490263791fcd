/**
 * Small float vectors cut from shared slabs: states hold one or two each, and there are as many states as people.
 *
 * V8 keeps only typed arrays of up to 64 bytes on its heap; a larger one costs an allocation of its own outside and a
 * finaliser, about ten times the price of a view into a slab. A slab is freed when the last vector in it is; slabs are
 * small, so what an evicted state leaves behind is bounded by its neighbours' life in the same cache.
 */
const SLAB_BYTES = 16_384;
const BYTES_PER_FLOAT = 4;

let slab = new ArrayBuffer(SLAB_BYTES);
let used = 0;

/** A zeroed vector. Longer ones than a quarter of a slab get memory of their own. */
export function allocateFloats(length: number): Float32Array {
  const bytes = length * BYTES_PER_FLOAT;
  if (bytes > SLAB_BYTES / 4) return new Float32Array(length);
  if (used + bytes > SLAB_BYTES) {
    slab = new ArrayBuffer(SLAB_BYTES);
    used = 0;
  }
  const vector = new Float32Array(slab, used, length);
  used += bytes;
  return vector;
}
