/**
 * Memory for bytes that are dropped together, apart from Node's own pool: there what is looked at for a moment lies among what
 * stays, and a slab goes, for the collector, with the last of its pieces.
 */
import type { Memory } from '../schemas/binary-writer.js';

const SLAB_BYTES = 65_536;
/** Larger pieces are on their own: they would leave too much of a slab unused. */
const PIECE_BYTES_MAX = SLAB_BYTES / 8;

export class SlabMemory implements Memory {
  private slab = Buffer.alloc(0);
  private used = 0;

  /** Bytes of the caller's own, with anything in them. */
  allocUnsafe(size: number): Buffer {
    if (size > PIECE_BYTES_MAX) return Buffer.allocUnsafeSlow(size);
    if (this.used + size > this.slab.length) {
      this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.used = 0;
    }
    const start = this.used;
    this.used += size;
    return this.slab.subarray(start, this.used);
  }
}
