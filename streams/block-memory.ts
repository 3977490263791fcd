/**
 * Memory for bytes that come and go fast: blocks of slabs that stay, given back by hand and handed out again.
 *
 * Left to the collector, each such buffer is memory outside of V8's heap, which V8 counts: 64 MB of it since the last full
 * collection begin the next one, whatever room the heap has, and every further one takes a step of it. A row changed a
 * thousand times a second did that every three seconds.
 *
 * Sizes are rounded up to a class, eight between two powers of two, so at most an eighth of a block is not used. A block keeps
 * its class until there is no room for another slab: then one of which no block is used is cut anew, for what is wanted now may
 * be of other sizes than what was wanted once. Beyond `bytesMax`, or when they are large, buffers are ordinary ones that nobody
 * has to give back.
 *
 * Invariant: a block has one owner, who frees it once and does not touch it afterwards.
 */
import type { Memory } from '../schemas/binary-writer.js';
import { SlabMemory } from './slab-memory.js';

const SLAB_BYTES = 262_144;
/** Larger blocks would leave too much of a slab unused. */
const BLOCK_SHARE_MAX = 1 / 8;
const BLOCK_BYTES_MIN = 64;
/** Classes between two powers of two. */
const CLASSES = 8;

export class BlockMemory implements Memory {
  private readonly slabs: Buffer[] = [];
  private readonly numbers = new Map<ArrayBufferLike, number>();
  /** By slab: blocks that are used. */
  private readonly inUse: number[] = [];
  /** The slab that is cut. */
  private current = -1;
  /** By class: places of free blocks, as slab number × bytes of a slab + offset. */
  private readonly free: number[][] = [];
  /** How much of the current slab is cut. */
  private used: number;
  private readonly overflow = new SlabMemory();

  /** `bytesMax`: of all slabs together. Blocks are of up to an eighth of a slab. */
  constructor(
    private readonly bytesMax: number,
    private readonly slabBytes = SLAB_BYTES,
  ) {
    this.used = slabBytes;
  }

  /** With anything in it. */
  allocUnsafe(size: number): Buffer {
    if (size > this.slabBytes * BLOCK_SHARE_MAX) return Buffer.allocUnsafeSlow(size);
    const index = classOf(size);
    const place = this.free[index]?.pop() ?? this.cut(classBytes(index));
    if (place === undefined) return this.overflow.allocUnsafe(size);
    const start = place % this.slabBytes;
    const slab = (place - start) / this.slabBytes;
    this.inUse[slab]!++;
    return this.slabs[slab]!.subarray(start, start + size);
  }

  /** Whether it will be handed out again once it is released. */
  owns(bytes: Buffer): boolean {
    return this.numbers.has(bytes.buffer);
  }

  /** Nothing happens to what was not allocated here. */
  release(bytes: Buffer): void {
    const slab = this.numbers.get(bytes.buffer);
    if (slab === undefined) return;
    this.inUse[slab]!--;
    (this.free[classOf(bytes.length)] ??= []).push(slab * this.slabBytes + bytes.byteOffset);
  }

  /** Lets go of all blocks: somebody may still read some of them. To this memory they are foreign from now on. */
  forget(): void {
    this.slabs.length = 0;
    this.numbers.clear();
    this.free.length = 0;
    this.inUse.length = 0;
    this.current = -1;
    this.used = this.slabBytes;
  }

  /** Other bytes in place of these, which are released: where they fit, the same block. */
  exchangeUnsafe(bytes: Buffer | undefined, size: number): Buffer {
    if (bytes === undefined) return this.allocUnsafe(size);
    if (bytes.length === size && this.owns(bytes)) return bytes;
    this.release(bytes);
    return this.allocUnsafe(size);
  }

  /** Place of a new block; undefined when there is no room for it. */
  private cut(size: number): number | undefined {
    if (this.used + size > this.slabBytes) {
      const slab = this.added() ?? this.emptied();
      if (slab === undefined) return undefined;
      this.current = slab;
      this.used = 0;
    }
    const start = this.used;
    this.used += size;
    return this.current * this.slabBytes + start;
  }

  private added(): number | undefined {
    const number = this.slabs.length;
    if ((number + 1) * this.slabBytes > this.bytesMax) return undefined;
    const slab = Buffer.allocUnsafeSlow(this.slabBytes);
    this.numbers.set(slab.buffer, number);
    this.inUse.push(0);
    return this.slabs.push(slab) - 1;
  }

  /** A slab of which nothing is used, as if nothing had been cut from it. */
  private emptied(): number | undefined {
    const slab = this.inUse.indexOf(0);
    if (slab < 0) return undefined;
    const isElsewhere = (place: number): boolean => Math.floor(place / this.slabBytes) !== slab;
    this.free.forEach((places, index) => (this.free[index] = places.filter(isElsewhere)));
    return slab;
  }
}

/** The smallest class that holds so many bytes. */
function classOf(size: number): number {
  if (size <= BLOCK_BYTES_MIN) return 0;
  const power = 31 - Math.clz32(size - 1);
  const step = ((size - 1) >> (power - LOG_CLASSES)) - CLASSES;
  return (power - LOG_BYTES_MIN) * CLASSES + step + 1;
}

function classBytes(index: number): number {
  if (index === 0) return BLOCK_BYTES_MIN;
  const power = LOG_BYTES_MIN + Math.floor((index - 1) / CLASSES);
  return (CLASSES + ((index - 1) % CLASSES) + 1) << (power - LOG_CLASSES);
}

const LOG_CLASSES = Math.log2(CLASSES);
const LOG_BYTES_MIN = Math.log2(BLOCK_BYTES_MIN);
