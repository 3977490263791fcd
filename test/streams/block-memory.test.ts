/** Blocks that are given back and handed out again: never two owners of one byte, and no more memory than was allowed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockMemory } from '../../streams/block-memory.js';

const BYTES_MAX = 1 << 20;
const size = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: 8_000 }),
  fc.integer({ min: 0, max: 40_000 }),
);
const step = fc.record({
  kind: fc.constantFrom('allocate', 'allocate', 'exchange', 'release', 'release from'),
  size,
  which: fc.nat(),
});

describe('memory of blocks', () => {
  it('gives each piece bytes of its own, as long as it is not released', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.constantFrom(BYTES_MAX, 150_000), (steps, bytesMax) => {
        const memory = new BlockMemory(bytesMax, 65_536);
        const held: { bytes: Buffer; mark: number }[] = [];
        steps.forEach(({ kind, size, which }, i) => {
          const place = which % (held.length + 1);
          const piece = held[place];
          const mark = i % 251;
          if (kind === 'release' && piece !== undefined) {
            memory.release(piece.bytes);
            held.splice(place, 1);
          } else if (kind === 'release from') {
            for (const { bytes } of held.splice(place)) memory.release(bytes);
          } else if (kind === 'exchange' && piece !== undefined) {
            held[place] = { bytes: memory.exchangeUnsafe(piece.bytes, size).fill(mark), mark };
          } else {
            held.push({ bytes: memory.allocUnsafe(size).fill(mark), mark });
          }
          expect(held.every(({ bytes, mark: own }) => bytes.every((byte) => byte === own))).toBe(true);
        });
      }),
      { numRuns: 50 },
    );
  });

  it('hands out what was released', () => {
    const memory = new BlockMemory(BYTES_MAX);
    const first = memory.allocUnsafe(1_000);
    memory.release(first);
    const second = memory.allocUnsafe(990);
    expect([second.buffer, second.byteOffset]).toEqual([first.buffer, first.byteOffset]);
    const third = memory.exchangeUnsafe(second, 1_000);
    expect([third.buffer, third.byteOffset]).toEqual([first.buffer, first.byteOffset]);
  });

  it('takes no more than it may, and then ordinary memory', () => {
    const memory = new BlockMemory(BYTES_MAX);
    const pieces = Array.from({ length: 3_000 }, () => memory.allocUnsafe(1_000));
    const own = pieces.filter((piece) => memory.owns(piece));
    expect(own.length).toBeLessThanOrEqual(BYTES_MAX / 1_000);
    expect(own.length).toBeGreaterThan((BYTES_MAX / 1_000) * 0.9);
    // Foreign bytes may be released, and nothing comes of it.
    for (const piece of pieces) memory.release(piece);
    expect(
      Array.from({ length: own.length }, () => memory.allocUnsafe(1_000)).every((piece) => memory.owns(piece)),
    ).toBe(true);
    expect(memory.owns(memory.allocUnsafe(1_000))).toBe(false);
  });

  it('has room for other sizes than it was filled with once, where nothing of a slab is used any more', () => {
    const memory = new BlockMemory(BYTES_MAX);
    const small = Array.from({ length: 3_000 }, () => memory.allocUnsafe(1_000));
    expect(memory.owns(memory.allocUnsafe(30_000))).toBe(false);
    // One piece stays, and its slab with it.
    for (const piece of small.slice(1)) memory.release(piece);
    const large = Array.from({ length: 40 }, () => memory.allocUnsafe(30_000));
    const own = large.filter((piece) => memory.owns(piece));
    expect(own.length).toBeGreaterThanOrEqual(((BYTES_MAX / 4) * 3 * 0.9) / 30_000);
    expect(own.every((piece) => piece.buffer !== small[0]!.buffer)).toBe(true);
  });

  it('hands out no block of a slab that was cut anew', () => {
    const memory = new BlockMemory(65_536, 65_536);
    const small = Array.from({ length: 60 }, () => memory.allocUnsafe(1_000));
    for (const piece of small) memory.release(piece);
    const large = Array.from({ length: 7 }, () => memory.allocUnsafe(8_000).fill(1));
    expect(large.every((piece) => memory.owns(piece))).toBe(true);
    for (let i = 0; i < 60; i++) memory.allocUnsafe(1_000).fill(2);
    expect(large.every((piece) => piece.every((byte) => byte === 1))).toBe(true);
  });

  it('does not touch what was handed out before it forgot', () => {
    const memory = new BlockMemory(BYTES_MAX);
    const before = memory.allocUnsafe(500).fill(1);
    memory.forget();
    memory.release(before);
    memory.exchangeUnsafe(before, 500).fill(2);
    memory.allocUnsafe(500).fill(2);
    expect(before.every((byte) => byte === 1)).toBe(true);
  });
});
