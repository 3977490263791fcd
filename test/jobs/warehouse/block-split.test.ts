/** Cutting blocks: by months, by rows, never inside an offset, never with a gap. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MONTHS_PER_INSERT_MAX, splitBlock } from '../../../jobs/warehouse/block-split.js';

describe('splitBlock', () => {
  it('covers the range without gaps, keeps offsets whole, and every piece within the limits', () => {
    const offsets = fc.array(
      fc.record({ rows: fc.integer({ min: 0, max: 3 }), month: fc.integer({ min: 0, max: 400 }) }),
      {
        maxLength: 400,
      },
    );
    fc.assert(
      fc.property(offsets, fc.integer({ min: 3, max: 200 }), (records, rowsMax) => {
        const rows = records.flatMap((record, i) =>
          Array.from({ length: record.rows }, (_, n) => ({
            _offset: 10 + i,
            _outputId: String(n),
            ts: new Date(Date.UTC(1990, record.month, 1)),
          })),
        );
        const range = { topic: 't', partition: 0, fromOffset: 5, toOffset: 10 + records.length };
        const pieces = splitBlock(rows, range, { timeColumn: 'ts', rowsMax });
        expect(pieces.flatMap((piece) => piece.rows)).toEqual(rows);
        expect(pieces[0]!.range.fromOffset).toBe(5);
        expect(pieces.at(-1)!.range.toOffset).toBe(range.toOffset);
        pieces.forEach((piece, i) => {
          if (i > 0) expect(piece.range.fromOffset).toBe(pieces[i - 1]!.range.toOffset + 1);
          expect(piece.rows.length).toBeLessThanOrEqual(rowsMax);
          expect(new Set(piece.rows.map((row) => (row['ts'] as Date).getTime())).size).toBeLessThanOrEqual(
            MONTHS_PER_INSERT_MAX,
          );
          for (const { _offset } of piece.rows) {
            expect(_offset).toBeGreaterThanOrEqual(piece.range.fromOffset);
            expect(_offset).toBeLessThanOrEqual(piece.range.toOffset);
          }
        });
      }),
      { numRuns: 50 },
    );
  });
});
