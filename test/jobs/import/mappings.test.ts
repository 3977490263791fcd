import { describe, expect, it } from 'vitest';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { RowConverter } from '../../../jobs/import/row-converter.js';
import { readMapping } from '../../../jobs/import/mapping.js';
import { openRows } from '../../../jobs/import/rows.js';
import { decodeRecord } from '../../../schemas/codec.js';
import { requireDataSet } from '../../e2e/data-sets.js';

const MAPPINGS = join(process.cwd(), 'jobs', 'mappings');
const ROWS = 1_000;

/** Mapping, file, and the kinds of records its rows make. */
const FILES = [
  ['globo', 'globo/clicks-first-7-days.csv.gz', ['Interaction']],
  ['deskdrop', 'deskdrop/users_interactions.csv.gz', ['Interaction']],
  ['rees46', 'rees46/events.csv.gz', ['Interaction', 'ItemUpsert']],
  ['obd-women', 'obd-women/random.csv.gz', ['Impression', 'Interaction']],
  ['obd-women', 'obd-women/bts.csv.gz', ['Impression', 'Interaction']],
  ['cookie-cats', 'cookie-cats/cookie_cats.csv.gz', ['UserUpsert']],
  ['diginetica', 'diginetica/train_sessions.txt.gz', ['Interaction']],
  ['beauty', 'beauty/Beauty.txt.gz', ['Interaction']],
  ['ml1m', 'ml1m/sequences.txt.gz', ['Interaction']],
  ['gowalla', 'gowalla/train.txt.gz', ['Interaction']],
  ['ml-100k', 'ml-100k/ml-100k.inter.gz', ['Interaction']],
  ['ml-latest-small', 'ml-latest-small/ratings.csv.gz', ['Interaction']],
  ['ml-latest-small-movies', 'ml-latest-small/movies.csv.gz', ['ItemUpsert']],
  ['ml-latest-small-abstracts', 'ml-latest-small/abstracts.json.gz', ['ItemUpsert']],
] as const;

describe('the mappings that come with the engine', () => {
  it('are valid, and each is tried on a data set here', () => {
    const names = readdirSync(MAPPINGS).map((file) => file.replace('.yaml', ''));
    expect(names.map((name) => readMapping(join(MAPPINGS, `${name}.yaml`)).name)).toEqual(names);
    expect(names.filter((name) => !FILES.some(([mapping]) => mapping === name))).toEqual([]);
  });

  it.for(FILES)('%s reads the first rows of %s without turning one away', async ([name, file, kinds], context) => {
    const path = requireDataSet(file, context);
    const mapping = readMapping(join(MAPPINGS, `${name}.yaml`));
    const { columns, rows } = await openRows(path, mapping);
    const converter = new RowConverter(mapping, columns, 'file');
    const found = new Set<string>();
    let count = 0;
    let last = 0;
    for await (const row of rows) {
      for (const { value, key } of converter.convert(row)) {
        const record = decodeRecord(value);
        found.add(record.kind);
        expect(key).not.toBe('');
        if ('ts' in record) last = record.ts;
      }
      if (++count === ROWS) break;
    }
    expect(count).toBe(ROWS);
    expect([...found].sort()).toEqual(kinds);
    // A mistaken unit is off by a factor of a thousand.
    expect(new Date(last).getUTCFullYear()).toBeGreaterThan(1990);
    expect(new Date(last).getUTCFullYear()).toBeLessThan(2021);
  });
});
