import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { importFile } from '../../../jobs/import/importer.js';
import type { ImportTarget } from '../../../jobs/import/importer.js';
import { decodeRecord } from '../../../schemas/codec.js';
import { systemClock } from '../../../streams/clock.js';
import type { LogRecord } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';

const MAPPING = `name: shop
format: csv
interaction:
  userId: user
  itemId: item
  ts: { column: at, unit: ms }
  type: { column: action, values: { seen: view, bought: purchase } }
item:
  itemId: item
  price: price
`;
const HEADER = 'user,item,at,action,price\n';
const TOPICS = { userEvents: 'user-events', itemEvents: 'item-events', deadLetters: 'dead-letters' };

let directory: string;
let log: MemoryLog;
let store: MemoryStore;

beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'freshet-importer-'))));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
beforeEach(async () => {
  log = new MemoryLog({ clock: systemClock });
  store = new MemoryStore({ delivery: 'atomic', log });
  await log.createTopics(Object.values(TOPICS).map((name) => ({ name, partitions: 1, class: 'event' })));
});

const target = (): ImportTarget => ({ log, store, ...TOPICS });

function write(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

async function stored(topic: string): Promise<readonly LogRecord[]> {
  return (await log.read(topic, 0, 0, { recordsMax: 1e6, bytesMax: 1e9 })).records;
}

const run = (file: string, blockRows = 10, limit = Infinity) =>
  importFile(target(), { file, mapping: write('shop.yaml', MAPPING), limit, blockRows });

describe('an import', () => {
  const rows = Array.from({ length: 2_400 }, (_, i) => `u${i % 7},i${(i * i) % 11},${1e12 + i},seen,${i % 3}`);
  const file = (): string => write('events.csv.gz', gzipSync(HEADER + rows.join('\n')));

  it('that was cut off at any place sends each row again under the identity it had, with the same bytes', async () => {
    await run(file());
    const whole = await Promise.all([stored('user-events'), stored('item-events')]);
    const identity = ({ origin, value }: LogRecord): string =>
      `${origin!.offset}/${origin!.index} ${value.toString('hex')}`;
    for (const cutAt of [700, 1_003, 1_999]) {
      log = new MemoryLog({ clock: systemClock });
      store = new MemoryStore({ delivery: 'atomic', log });
      await log.createTopics(Object.values(TOPICS).map((name) => ({ name, partitions: 1, class: 'event' })));
      // A limit stands in for the kill: the note of the last rows is taken away, as if it had not been written.
      await run(file(), 1, cutAt);
      const note = Math.floor(cutAt / 1_000) * 1_000;
      const [name] = await documents();
      await store.writeDocument(name!, String(note));
      const { skipped } = await run(file());
      expect(skipped).toBe(note);
      const again = await Promise.all([stored('user-events'), stored('item-events')]);
      again.forEach((records, i) => {
        expect(new Set(records.map(identity))).toEqual(new Set(whole[i]!.map(identity)));
        expect(records.length).toBeGreaterThan(whole[i]!.length);
      });
    }
  });

  it('sends an item when it is first met and when it changed, before the event that names it', async () => {
    const path = write(
      'items.csv',
      `${HEADER}u,a,1000000000000,seen,5\nu,a,1000000000001,seen,5\nu,a,1000000000002,bought,6\n`,
    );
    await run(path);
    const items = (await stored('item-events')).map(({ value, origin }) => {
      const record = decodeRecord(value);
      return record.kind === 'ItemUpsert' ? [record.itemId, record.price, origin!.offset, origin!.index] : [];
    });
    expect(items).toEqual([
      ['a', 5, 1, 0],
      ['a', 6, 3, 0],
    ]);
  });

  it('keeps rows that do not fit as dead letters with their reason, and sends nothing of them, the item neither', async () => {
    const path = write(
      'faults.csv',
      `${HEADER}u,a,yesterday,seen,5\nu,a,1000000000001,eaten,5\nu,,1000000000002,seen,5\nu,a,1000000000003,seen\nu,a,1000000000004,seen,5\nu,a,1000000000005,seen,cheap\n`,
    );
    const result = await run(path);
    expect([result.rows, result.records, result.rejected]).toEqual([6, 2, 5]);
    expect(await stored('item-events')).toHaveLength(1);
    const letters = (await stored('dead-letters')).map(({ value }) => decodeRecord(value));
    expect(letters.map((letter) => (letter.kind === 'DeadLetter' ? [letter.offset, letter.code] : []))).toEqual(
      [1, 2, 3, 4, 6].map((row) => [row, 'ROW_INVALID']),
    );
    for (const part of ["time 'yesterday'", "event type 'eaten'", 'no itemId', '4 columns, expected 5', "'cheap'"]) {
      expect(result.reasons.join('\n')).toContain(part);
    }
  });

  it('of a file that was imported before appends nothing', async () => {
    await run(file());
    const before = (await stored('user-events')).length;
    const { skipped, records } = await run(file());
    expect([skipped, records]).toEqual([rows.length, 0]);
    expect((await stored('user-events')).length).toBe(before);
  });
});

async function documents(): Promise<string[]> {
  const names: string[] = [];
  const origin = (await stored('user-events'))[0]!.origin!;
  names.push(origin.source.replace('file/', 'import/'));
  return names;
}
