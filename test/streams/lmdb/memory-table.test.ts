import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockMemory } from '../../../streams/block-memory.js';
import { LmdbFile } from '../../../streams/lmdb/lmdb-file.js';
import { MemoryTable } from '../../../streams/lmdb/memory-table.js';
import type { Table } from '../../../streams/lmdb/table.js';

let directory: string;
let file: LmdbFile;
let tables = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'freshet-table-'));
  file = new LmdbFile(directory, false);
});
afterAll(async () => {
  await file.close();
  rmSync(directory, { recursive: true });
});

type Step =
  | { readonly do: 'put' | 'putCopy'; readonly key: number; readonly value: number }
  | { readonly do: 'remove'; readonly key: number }
  | { readonly do: 'clear' | 'flush' | 'fail' | 'begin' };

const key = fc.integer({ min: 0, max: 12 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('put' as const, 'putCopy' as const), key, value: fc.nat(99) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), key }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('clear', 'flush', 'fail', 'begin') }) },
);
// High bytes, so that an order of characters instead of bytes would show.
const keyOf = (n: number): Buffer => Buffer.from([120 + n * 10]);

/** A table and its flushes as the environment runs them: `begin` leaves one under way. */
class Trial {
  readonly table: MemoryTable;
  private isFlushing = false;

  constructor() {
    const [stored] = file.openTables([`t${tables++}`]) as [Table];
    this.table = new MemoryTable(stored, new BlockMemory(1 << 20), () => undefined);
  }

  async take(step: Step): Promise<void> {
    const { table } = this;
    if (step.do === 'put') table.put(keyOf(step.key), Buffer.from(String(step.value)));
    if (step.do === 'putCopy') {
      const value = Buffer.from(String(step.value));
      table.putCopy(keyOf(step.key), value);
      value.fill(0);
    }
    if (step.do === 'remove') table.remove(keyOf(step.key));
    if (step.do === 'clear') table.clear();
    if (step.do === 'begin' || step.do === 'flush') await this.begin();
    if (step.do === 'flush') this.end();
    if (step.do === 'fail') await this.fail();
  }

  private async begin(): Promise<void> {
    this.end();
    await file.transact(() => this.table.flush());
    this.isFlushing = true;
  }

  private end(): void {
    if (this.isFlushing) this.table.flushed();
    this.isFlushing = false;
  }

  /** A transaction that stores nothing. */
  private async fail(): Promise<void> {
    this.end();
    const refused = file.transact(() => {
      this.table.flush();
      throw new Error('refused');
    });
    await expect(refused).rejects.toThrow();
    this.table.flushFailed();
  }
}

function applied(model: Map<number, number>, step: Step): void {
  if (step.do === 'put' || step.do === 'putCopy') model.set(step.key, step.value);
  if (step.do === 'remove') model.delete(step.key);
  if (step.do === 'clear') model.clear();
}

const read = (entries: Iterable<{ key: Buffer; value: Buffer }>): [number, number][] =>
  [...entries].map((entry) => [(entry.key[0]! - 120) / 10, Number(entry.value.toString())]);

describe('a table in memory over a file', () => {
  it('reads as one map, whatever is flushed, being flushed or was refused', async () => {
    const bounds = fc.record({ from: key, to: key, reverse: fc.boolean(), limit: fc.integer({ min: 1, max: 14 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), bounds, async (steps, { from, to, reverse, limit }) => {
        const trial = new Trial();
        const model = new Map<number, number>();
        for (const each of steps) {
          await trial.take(each);
          applied(model, each);
          const sorted = [...model].sort(([left], [right]) => left - right);
          expect(read(trial.table.range({}))).toEqual(sorted);
          for (let n = 0; n <= 12; n++) {
            expect(trial.table.get(keyOf(n))?.toString()).toBe(model.get(n)?.toString());
          }
          const within = sorted.filter(([n]) => (reverse ? n <= from && n > to : n >= from && n < to));
          const walked = (reverse ? within.reverse() : within).slice(0, limit);
          expect(read(trial.table.range({ from: keyOf(from), to: keyOf(to), reverse, limit }))).toEqual(walked);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('shows a walk that rests what was there when it began', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), fc.array(step, { maxLength: 15 }), async (before, after) => {
        const trial = new Trial();
        const model = new Map<number, number>();
        for (const each of before) {
          await trial.take(each);
          applied(model, each);
        }
        const walk = trial.table.range({})[Symbol.iterator]();
        const first = walk.next();
        for (const each of after) await trial.take(each);
        const seen = first.done === true ? [] : read([first.value, ...{ [Symbol.iterator]: () => walk }]);
        expect(seen).toEqual([...model].sort(([left], [right]) => left - right));
      }),
      { numRuns: 60 },
    );
  });

  it('gives every caller bytes of its own', () => {
    const { table } = new Trial();
    table.put(keyOf(1), Buffer.from('kept'));
    table.get(keyOf(1))!.fill(0);
    for (const { value } of table.range({})) value.fill(0);
    expect(table.get(keyOf(1))?.toString()).toBe('kept');
  });
});
