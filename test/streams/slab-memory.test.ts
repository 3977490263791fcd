import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlabMemory } from '../../streams/slab-memory.js';

const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 })), {
  maxLength: 200,
});

describe('memory in slabs', () => {
  it('gives each piece bytes of its own', () => {
    fc.assert(
      fc.property(sizes, (wanted) => {
        const memory = new SlabMemory();
        const pieces = wanted.map((size, i) => memory.allocUnsafe(size).fill(i % 251));
        pieces.forEach((piece, i) => {
          expect(piece.length).toBe(wanted[i]);
          expect(piece.every((byte) => byte === i % 251)).toBe(true);
        });
      }),
    );
  });

  it('holds little more than what was asked for, whatever else the process allocates', () => {
    const memory = new SlabMemory();
    const kept = Array.from({ length: 10_000 }, () => {
      Buffer.allocUnsafe(1_000);
      return memory.allocUnsafe(200);
    });
    const held = [...new Set(kept.map(({ buffer }) => buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(held).toBeLessThan(1.2 * 10_000 * 200);
  });
});
