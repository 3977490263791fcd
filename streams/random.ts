/**
 * Randomness as an argument: fast seeded numbers in named streams, and unguessable tokens.
 *
 * Every consumer takes its own named stream, `random.stream('bandit')`, derived from the seed and the path of names
 * only: who else draws, and how often, does not move it. This file is the only one allowed to use Math.random,
 * randomUUID or the randomness of node:crypto.
 *
 * Invariant: same seed and same names, same numbers, on every machine. Numbers come from sfc32 (Doty-Humphrey,
 * PractRand), which is not for secrets; `bytes` and `hex` of `systemRandom()` come from the operating system and are.
 */
import { randomFillSync } from 'node:crypto';
import { invariant } from '../schemas/errors.js';

export interface Random {
  /** Uniform integer in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, 1), 53 bits. */
  float(): number;
  /** Uniform integer in [0, n), without bias; n an integer in [1, 2^32]. */
  int(n: number): number;
  /** Normal with mean 0 and standard deviation 1. */
  gaussian(): number;
  /** Random bytes; unguessable when the stream descends from `systemRandom()`. */
  bytes(length: number): Uint8Array;
  /** `length` random bytes as 2 × `length` lower-case hex digits: owner tokens, commit ids, keys. */
  hex(length: number): string;
  /** One element, uniformly. */
  pick<T>(items: readonly T[]): T;
  /** Shuffles in place (Fisher–Yates) and returns its argument. */
  shuffle<T>(items: T[]): T[];
  /**
   * The sub-stream of this name. Depends on the seed and on names alone, so asking twice gives the same numbers twice:
   * keep the stream, not the name, when the draws are to go on.
   */
  stream(name: string): Random;
}

/** A reproducible source. Text seeds are as good as numbers: `seededRandom('nightly-17')`. */
export function seededRandom(seed: string | number | bigint): Random {
  return new Sfc32Random(hashName(String(seed), [0x9e3779b9, 0x243f6a88, 0xb7e15162, 0xdeadbeef]), undefined);
}

/** A source nobody can predict from outside, seeded by the operating system; its bytes come from there directly. */
export function systemRandom(): Random {
  const seed = new Uint32Array(4);
  randomFillSync(seed);
  return new Sfc32Random([seed[0]!, seed[1]!, seed[2]!, seed[3]!], createPool());
}

/** Asking the system costs the same for 12 bytes as for a page of them. */
const POOL_BYTES = 4_096;

/** Fills from bytes of the operating system that were asked for in advance; none is given out twice. */
function createPool(): (target: Uint8Array) => void {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  return (target) => {
    if (target.length > POOL_BYTES) return void randomFillSync(target);
    if (used + target.length > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    target.set(pool.subarray(used, used + target.length));
    // What was given out cannot be read here again.
    pool.fill(0, used, used + target.length);
    used += target.length;
  };
}

type Seed = readonly [number, number, number, number];

const UINT32_RANGE = 2 ** 32;
/** sfc32 mixes its seed completely within 12 steps; the author discards 15. */
const WARM_UP_STEPS = 15;

class Sfc32Random implements Random {
  private a: number;
  private b: number;
  private c: number;
  private counter: number;
  private spareGaussian: number | undefined;

  constructor(
    private readonly seed: Seed,
    private readonly fill: ((target: Uint8Array) => void) | undefined,
  ) {
    [this.a, this.b, this.c, this.counter] = seed;
    for (let i = 0; i < WARM_UP_STEPS; i++) this.uint32();
  }

  uint32(): number {
    const mixed = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + mixed) | 0;
    return mixed >>> 0;
  }

  float(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  int(n: number): number {
    invariant(Number.isInteger(n) && n >= 1 && n <= UINT32_RANGE, `int(n) needs an integer in [1, 2^32], got ${n}`);
    const accepted = UINT32_RANGE - (UINT32_RANGE % n);
    // Expected number of draws is below 2 for every n; the loop ends with probability 1.
    for (;;) {
      const drawn = this.uint32();
      if (drawn < accepted) return drawn % n;
    }
  }

  /** Marsaglia's polar method: two values per accepted pair, the second one kept for the next call. */
  gaussian(): number {
    const spare = this.spareGaussian;
    if (spare !== undefined) {
      this.spareGaussian = undefined;
      return spare;
    }
    for (;;) {
      const x = 2 * this.float() - 1;
      const y = 2 * this.float() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(square)) / square);
      this.spareGaussian = y * scale;
      return x * scale;
    }
  }

  bytes(length: number): Uint8Array {
    const target = new Uint8Array(length);
    if (this.fill !== undefined) {
      this.fill(target);
      return target;
    }
    for (let i = 0; i < length; i += 4) {
      const word = this.uint32();
      for (let k = 0; k < 4 && i + k < length; k++) target[i + k] = word >>> (8 * k);
    }
    return target;
  }

  hex(length: number): string {
    return Buffer.from(this.bytes(length).buffer).toString('hex');
  }

  pick<T>(items: readonly T[]): T {
    invariant(items.length > 0, 'pick needs at least one item');
    return items[this.int(items.length)]!;
  }

  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const k = this.int(i + 1);
      const held = items[i]!;
      items[i] = items[k]!;
      items[k] = held;
    }
    return items;
  }

  stream(name: string): Random {
    return new Sfc32Random(hashName(name, this.seed), this.fill);
  }
}

/**
 * 128 bits of a text, starting from four words: multiply-xor lanes over UTF-16 units, then murmur3's finalizer with
 * the lanes folded into each other (after cyrb128). The length is mixed in, so ('a', 'bc') and ('ab', 'c') differ.
 */
function hashName(name: string, from: Seed): Seed {
  let [h1, h2, h3, h4] = from;
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    h1 = h2 ^ Math.imul(h1 ^ unit, 597399067);
    h2 = h3 ^ Math.imul(h2 ^ unit, 2869860233);
    h3 = h4 ^ Math.imul(h3 ^ unit, 951274213);
    h4 = h1 ^ Math.imul(h4 ^ unit, 2716044179);
  }
  h1 = finalize(h1 ^ name.length);
  h2 = finalize(h2 ^ h1);
  h3 = finalize(h3 ^ h2);
  h4 = finalize(h4 ^ h3);
  return [finalize(h1 ^ h4), h2, h3, h4];
}

function finalize(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
