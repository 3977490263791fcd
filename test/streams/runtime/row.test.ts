/** Rows in memory that is handed out again: what was decoded of a row outlives the bytes that it was stored as. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockMemory } from '../../../streams/block-memory.js';
import { CellLayout } from '../../../streams/runtime/cell-layout.js';
import type { StateCodec } from '../../../streams/runtime/operator.js';
import { readCell } from '../../../streams/runtime/row-bytes.js';
import { Row } from '../../../streams/runtime/row.js';

/** The state is the very bytes that are decoded. */
const bytesCodec: StateCodec<Buffer> = { version: 1, encode: (state) => state, decode: (bytes) => bytes };
const textCodec: StateCodec<string> = {
  version: 1,
  decodesByCopy: true,
  encode: (state) => Buffer.from(state),
  decode: (bytes) => bytes.toString(),
};
const operators = [
  { name: 'bytes', purity: 'log-pure' as const, state: bytesCodec, process: () => undefined },
  { name: 'text', purity: 'log-pure' as const, state: textCodec, process: () => undefined },
] as const;
const layout = new CellLayout(operators);
const BYTES = 0;
const TEXT = 1;

describe('a row', () => {
  it('does not change a state that is the bytes it was decoded from', () => {
    const memory = new BlockMemory(1 << 20);
    const first = new Row(layout, 'k', undefined);
    first.set(BYTES, Buffer.from('kept'));
    first.set(TEXT, 'before');
    const row = new Row(layout, 'k', first.encode(memory));
    const kept = row.get(BYTES) as Buffer;
    row.set(TEXT, 'behind');
    row.encode(memory);
    row.release(memory);
    memory.allocUnsafe(40).fill(0);
    expect(kept.toString()).toBe('kept');
  });

  it('keeps what every cell was set to last, while rows share their memory', () => {
    const text = fc.string({ maxLength: 200 });
    const step = fc.record({ row: fc.nat(5), cell: fc.constantFrom(BYTES, TEXT), text, isRemoved: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const memory = new BlockMemory(1 << 20);
        const rows = new Map<number, { row: Row; cells: (string | undefined)[] }>();
        for (const { row: number, cell, text: value, isRemoved } of steps) {
          const known = rows.get(number) ?? { row: new Row(layout, 'k', undefined), cells: [] };
          rows.set(number, known);
          known.cells[cell] = isRemoved ? undefined : value;
          if (isRemoved) known.row.remove(cell);
          else known.row.set(cell, cell === BYTES ? Buffer.from(value) : value);
          known.row.encode(memory);
          for (const { row, cells } of rows.values()) {
            const stored = row.stored ?? Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            expect(readCell<Buffer>(operators[0], stored)?.toString()).toBe(cells[BYTES]);
            expect(readCell<string>(operators[1], stored)).toBe(cells[TEXT]);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});
