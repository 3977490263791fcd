/**
 * Small arrays cut from shared slabs: states hold a few each, and there are as many states as people or items.
 *
 * V8 keeps only typed arrays of up to 64 bytes on its heap, as three objects each; a larger one costs an allocation of its own
 * outside and a finaliser, about ten times the price of a view into a slab. A view is one object for the collector to mark. A slab
 * is freed when the last array in it is; slabs are small, so what an evicted state leaves behind is bounded by its neighbours' life
 * in the same cache.
 */
import type { Memory } from '../schemas/binary-writer.js';

const SLAB_BYTES = 16_384;
const ALIGNMENT = Float64Array.BYTES_PER_ELEMENT;

class ArrayPool implements Memory {
  private slab = new ArrayBuffer(0);
  private used = 0;

  /** A zeroed vector. Longer ones than a quarter of a slab get memory of their own. */
  floats(length: number): Float32Array {
    const start = this.cut(length * Float32Array.BYTES_PER_ELEMENT);
    return start < 0 ? new Float32Array(length) : new Float32Array(this.slab, start, length);
  }

  /** Zeroed, likewise. */
  doubles(length: number): Float64Array {
    const start = this.cut(length * Float64Array.BYTES_PER_ELEMENT);
    return start < 0 ? new Float64Array(length) : new Float64Array(this.slab, start, length);
  }

  /** Zeroed, likewise. */
  ints(length: number): Int32Array {
    const start = this.cut(length * Int32Array.BYTES_PER_ELEMENT);
    return start < 0 ? new Int32Array(length) : new Int32Array(this.slab, start, length);
  }

  /** Zeroed, likewise. */
  words(length: number): Uint32Array {
    const start = this.cut(length * Uint32Array.BYTES_PER_ELEMENT);
    return start < 0 ? new Uint32Array(length) : new Uint32Array(this.slab, start, length);
  }

  allocUnsafe(size: number): Buffer {
    const start = this.cut(size);
    return start < 0 ? Buffer.allocUnsafeSlow(size) : Buffer.from(this.slab, start, size);
  }

  /** Where in the slab the bytes begin; −1 when there are too many. */
  private cut(bytes: number): number {
    if (bytes > SLAB_BYTES / 4) return -1;
    if (this.used + bytes > this.slab.byteLength) {
      this.slab = new ArrayBuffer(SLAB_BYTES);
      this.used = 0;
    }
    const start = this.used;
    this.used += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    return start;
  }
}

/** Of people's states as they are decoded: most are looked at once, by serving, and gone. */
export const decodedArrays = new ArrayPool();

/** Of states that stay: new ones, grown ones, and all of items', which only their operators read. */
export const lastingArrays = new ArrayPool();
