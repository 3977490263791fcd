/**
 * Small arrays cut from shared slabs: states hold a few each, and there are as many states as people or items.
 *
 * V8 keeps only typed arrays of up to 64 bytes on its heap; a larger one costs an allocation of its own outside and a
 * finaliser, about ten times the price of a view into a slab. A slab is freed when the last array in it is; slabs are
 * small, so what an evicted state leaves behind is bounded by its neighbours' life in the same cache.
 */
const SLAB_BYTES = 16_384;
const ALIGNMENT = 4;

let slab = new ArrayBuffer(SLAB_BYTES);
let used = 0;

/** A zeroed vector. Longer ones than a quarter of a slab get memory of their own. */
export function allocateFloats(length: number): Float32Array {
  const start = cut(length * Float32Array.BYTES_PER_ELEMENT);
  return start < 0 ? new Float32Array(length) : new Float32Array(slab, start, length);
}

/** Zeroed, likewise. */
export function allocateInts(length: number): Int32Array {
  const start = cut(length * Int32Array.BYTES_PER_ELEMENT);
  return start < 0 ? new Int32Array(length) : new Int32Array(slab, start, length);
}

/** Zeroed, likewise. */
export function allocateBytes(length: number): Buffer {
  const start = cut(length);
  return start < 0 ? Buffer.alloc(length) : Buffer.from(slab, start, length);
}

/** Where in `slab` the bytes begin; −1 when there are too many. */
function cut(bytes: number): number {
  if (bytes > SLAB_BYTES / 4) return -1;
  if (used + bytes > SLAB_BYTES) {
    slab = new ArrayBuffer(SLAB_BYTES);
    used = 0;
  }
  const start = used;
  used += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  return start;
}
