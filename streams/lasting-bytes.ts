/**
 * Memory for bytes that stay, apart from Node's own pool: there a row of 200 bytes that is kept lies among whatever else was
 * encoded or read at the time, and keeps all 8 kB of it. Of what is allocated here most is dropped together.
 *
 * Nothing is freed by hand: a slab goes with the last of its pieces.
 */
import type { Memory } from '../schemas/binary-writer.js';

const SLAB_BYTES = 16_384;
/** Larger pieces are on their own: they would leave too much of a slab unused. */
const PIECE_BYTES_MAX = SLAB_BYTES / 8;

export class LastingBytes implements Memory {
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
