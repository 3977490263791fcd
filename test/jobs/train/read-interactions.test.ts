import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mappingSchema } from '../../../jobs/import/mapping.js';
import { IdIndex, InteractionTable } from '../../../jobs/train/interaction-table.js';
import { readItemContent } from '../../../jobs/train/item-content.js';
import { readInteractions } from '../../../jobs/train/read-interactions.js';
import type { TrainingSet } from '../../../serving/models/training-set.js';

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'freshet-read-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const mappingOf = (raw: object) => mappingSchema.parse({ name: 'test', ...raw });

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, name.endsWith('.gz') ? gzipSync(text) : text);
  return path;
}

const rowsOf = (set: TrainingSet): Record<string, string[]> =>
  Object.fromEntries(
    set.userIds.map((user, u) => [
      user,
      [...set.items.subarray(set.rowStart[u], set.rowStart[u + 1])].map((item) => set.itemIds[item]!),
    ]),
  );

const LOG = {
  userId: 'who',
  itemId: 'what',
  ts: { column: 'when', unit: 's' },
  type: { constant: 'rate' },
  value: 'stars',
};

describe('a training set from a file', () => {
  it('is sorted by time within each person, ratings as weights, times in ms', async () => {
    const path = write('log.csv.gz', 'who,what,when,stars\nann,b,20,4\nbob,a,5,1\nann,a,10,2\nann,c,20,5\n');
    const { table } = await readInteractions(path, mappingOf({ format: 'csv', interaction: LOG }), { rows: 'users' });
    const set = table.trainingSet();
    expect(rowsOf(set)).toEqual({ ann: ['a', 'b', 'c'], bob: ['a'] });
    expect([...set.times]).toEqual([10_000, 20_000, 20_000, 5_000]);
    expect([...set.weights]).toEqual([2, 4, 5, 1]);
    expect([set.hasTimes, set.hasWeights, set.isSessions]).toEqual([true, true, false]);
  });

  it('is made of sessions when asked for, where the mapping names them', async () => {
    const path = write('sessions.tsv', 'who\twhat\twhen\tvisit\nann\ta\t1\tx\nann\tb\t2\ty\nann\tc\t3\tx\n');
    const interaction = { ...LOG, value: undefined, type: { constant: 'view' }, sessionId: 'visit' };
    const mapping = mappingOf({ format: 'tsv', interaction });
    const { table } = await readInteractions(path, mapping, { rows: 'sessions' });
    expect(rowsOf(table.trainingSet())).toEqual({ x: ['a', 'c'], y: ['b'] });
    expect(table.trainingSet().isSessions).toBe(true);
    // All of one type: nothing to weigh.
    expect(table.trainingSet().hasWeights).toBe(false);
  });

  it('weighs types of events as the engine does', async () => {
    const path = write(
      'types.jsonl',
      '{"who":"ann","what":"a","when":1,"did":"v"}\n{"who":"ann","what":"a","when":2,"did":"p"}\n',
    );
    const type = { column: 'did', values: { v: 'view', p: 'purchase' } };
    const mapping = mappingOf({ format: 'jsonl', interaction: { ...LOG, value: undefined, type } });
    const { table } = await readInteractions(path, mapping, { rows: 'users' });
    expect([...table.trainingSet().weights]).toEqual([1, 8]);
  });

  it('shares ids with a second file', async () => {
    const mapping = mappingOf({
      format: 'sequences',
      interaction: { userId: 'user', itemId: 'item', ts: {}, type: { constant: 'view' } },
    });
    const first = await readInteractions(write('train.txt', 'u1 a b\nu2 c\n'), mapping, { rows: 'users' });
    const { items, users } = first.table;
    const second = await readInteractions(write('test.txt', 'u2 b d\n'), mapping, { rows: 'users', items, users });
    expect(rowsOf(second.table.trainingSet())).toEqual({ u1: [], u2: ['b', 'd'] });
    expect(rowsOf(first.table.trainingSet())).toEqual({ u1: ['a', 'b'], u2: ['c'] });
    expect(first.table.trainingSet().itemIds).toEqual(['a', 'b', 'c', 'd']);
    expect(first.table.trainingSet().hasTimes).toBe(false);
  });

  it('passes over rows that do not fit, and refuses a file that mostly does not', async () => {
    const mapping = mappingOf({ format: 'csv', interaction: LOG });
    const mostlyGood = write('good.csv', 'who,what,when,stars\nann,a,1,3\nann,b,never,3\nann,c,2,3\n');
    const read = await readInteractions(mostlyGood, mapping, { rows: 'users' });
    expect([read.rejected, read.table.count]).toEqual([1, 2]);
    const bad = write('bad.csv', 'who,what,when,stars\nann,a,x,3\nann,b,y,3\nann,c,2,3\n');
    await expect(readInteractions(bad, mapping, { rows: 'users' })).rejects.toMatchObject({ code: 'ROW_INVALID' });
  });

  it('does not depend on where columns of a table were grown', () => {
    const table = new InteractionTable({ hasTimes: true, isSessions: false });
    for (let n = 0; n < 70_000; n++) table.add(`u${n % 7}`, `i${n % 11}`, { timeMs: -n, type: 0, value: null });
    const set = table.trainingSet();
    expect(set.items.length).toBe(70_000);
    for (let p = 1; p < set.rowStart[1]!; p++) expect(set.times[p]! > set.times[p - 1]!).toBe(true);
  });
});

describe('contents of items', () => {
  it('come together from several files, also for items nobody met', async () => {
    const films = write('films.csv', 'id,name,kinds,year\na,Alpha,Drama|War,1990\nz,Zeta,,1991\n');
    const texts = write('texts.json', '{"a": "About alpha.", "b": "About b."}');
    const labels = write('labels.json', '{"b": [3, "x"]}');
    const mapping = (name: string, raw: string): string => write(name, raw);
    const items = new IdIndex(['b', 'a']);
    const content = await readItemContent(
      [
        {
          path: films,
          mapping: mapping(
            'f.yaml',
            "name: f\nformat: csv\nitem: { itemId: id, title: name, categories: { column: kinds, split: '|' }, numbers: { year: year } }\n",
          ),
        },
        {
          path: texts,
          mapping: mapping('t.yaml', 'name: t\nformat: json\nitem: { itemId: key, description: value }\n'),
        },
        { path: labels, mapping: mapping('l.yaml', 'name: l\nformat: json\nitem: { itemId: key, tags: value }\n') },
      ],
      undefined,
      items,
    );
    expect(items.ids).toEqual(['b', 'a', 'z']);
    expect(content!.titles).toEqual(['', 'Alpha', 'Zeta']);
    expect(content!.texts).toEqual(['About b.', 'About alpha.', '']);
    expect(content!.categories).toEqual([[], ['Drama', 'War'], []]);
    expect(content!.tags).toEqual([['3', 'x'], [], []]);
    expect([...content!.numbers['year']!]).toEqual([NaN, 1990, 1991]);
  });
});
