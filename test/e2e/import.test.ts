/**
 * Importing files as a user does: a shop's real export, and files that are damaged, empty, or not what the mapping
 * says. What can be read is kept; what cannot is told with its place and reason.
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { countBy, readCsv, REES46, requireDataSet } from './data-sets.js';
import type { Columns } from './data-sets.js';
import { killAll, removeTemporaryDirectories, resultOf, runFreshet, temporaryDirectory } from './freshet.js';
import { inspect, interactionsOf } from './inspect.js';

afterEach(killAll);
afterAll(removeTemporaryDirectories);

describe("a shop's export", () => {
  const ROWS = 3_000;

  it('becomes items with category path, brand and price, and sessions with their purchases', async (context) => {
    const file = requireDataSet(REES46, context);
    const data = temporaryDirectory();
    const args = ['import', file, '--mapping', 'rees46', '--data', data, '--limit', String(ROWS)];
    expect(await resultOf(...args)).toMatchObject({ rows: ROWS, rejected: 0 });
    const rows = readCsv(file, ROWS);
    await inspect(data, async (inspection) => {
      const users = await inspection.users();
      expect(countBy(users, ({ key }) => key, interactionsOf)).toEqual(countBy(rows, (row) => row.get('user_id')!));
      const conversions = [...(await inspection.sessions()).values()].reduce(
        (sum, session) => sum + session.conversions,
        0,
      );
      expect(conversions).toBe(rows.filter((row) => row.get('event_type') === 'purchase').length);
      expect(conversions).toBeGreaterThan(10);

      const latest = new Map<string, Columns>(rows.map((row) => [row.get('product_id')!, row]));
      const seen = new Set<string>();
      // Not in the order of the file: upserts of one item keep theirs, and the last one counts.
      const items = new Map(
        (await inspection.records('itemEvents')).flatMap((record) =>
          record.kind === 'ItemUpsert' ? [[record.itemId, record]] : [],
        ),
      );
      for (const [itemId, { price, brand, categories, currency }] of items) {
        const row = latest.get(itemId)!;
        seen.add(itemId);
        const path = row
          .get('category_code')!
          .split('.')
          .filter((part) => part !== '')
          .reverse();
        expect([price, brand ?? '', categories, currency]).toEqual([
          Number(row.get('price')),
          row.get('brand'),
          path,
          'USD',
        ]);
      }
      expect(seen.size).toBe(latest.size);
    });
    const item = JSON.parse(
      (await runFreshet('state', 'get', 'items', rows[1]!.get('product_id')!, '--data', data)).stdout,
    ) as {
      operators: object;
    };
    expect(Object.keys(item.operators)).toEqual(expect.arrayContaining(['catalogue', 'popularity']));
  });
});

describe('a file that is not as it should be', () => {
  const HEADER =
    'user_id,session_id,click_article_id,click_timestamp,click_deviceGroup,click_os,click_country,click_region,click_referrer_type\n';
  const line = (i: number): string => `u${i % 5},s${i % 5},i${i % 9},${1.5e12 + i * 1_000},1,2,3,4,5`;
  const lines = (n: number): string => Array.from({ length: n }, (_, i) => line(i)).join('\n');

  async function importing(name: string, content: string | Buffer, ...more: string[]) {
    const directory = temporaryDirectory();
    const file = join(directory, name);
    writeFileSync(file, content);
    const data = join(directory, 'data');
    const finished = await runFreshet('import', file, '--mapping', 'globo', '--data', data, '--json', ...more);
    return { ...finished, data };
  }

  it('that is empty, missing, a directory, or without the columns, is refused with the reason', async () => {
    const empty = await importing('empty.csv', '');
    expect([empty.code, empty.stderr]).toEqual([1, expect.stringMatching(/^freshet: MAPPING_INVALID: .*empty/m)]);
    const other = await importing('other.csv', 'a,b\n1,2\n');
    expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/MAPPING_INVALID: .*no column 'user_id'/)]);
    const directory = temporaryDirectory();
    for (const path of [join(directory, 'nowhere.csv'), directory]) {
      const refused = await runFreshet('import', path, '--mapping', 'globo', '--data', join(directory, 'data'));
      expect([refused.code, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/^freshet: [A-Z_]+: .*(nowhere|freshet-e2e)/m),
      ]);
      expect(refused.stderr).not.toMatch(/unexpected|\n {4}at /);
    }
    const badMapping = join(directory, 'bad.yaml');
    writeFileSync(badMapping, 'name: x\nformat: csv\ninteraction: { userId: a, itemId: b }\nextra: 1\n');
    const refused = await importing('fine.csv', HEADER + lines(3), '--mapping', badMapping);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/MAPPING_INVALID: .*2 fault|3 fault/)]);
  });

  it('that is a truncated or damaged gzip is refused as a whole, so that the repaired file counts once', async () => {
    const ROWS = 4_000;
    const whole = gzipSync(HEADER + lines(ROWS));
    for (const broken of [
      whole.subarray(0, whole.length / 2),
      Buffer.concat([whole.subarray(0, 5_000), Buffer.alloc(50), whole.subarray(5_050)]),
    ]) {
      const cut = await importing('cut.csv.gz', broken);
      expect([cut.code, cut.stderr]).toEqual([1, expect.stringMatching(/^freshet: [A-Z_]+: .*cut\.csv\.gz/m)]);
      expect(cut.stderr).not.toContain('freshet: unexpected');
      expect(await countedIn(cut.data)).toBe(0);
      const file = join(dirname(cut.data), 'cut.csv.gz');
      writeFileSync(file, whole);
      await resultOf('import', file, '--mapping', 'globo', '--data', cut.data);
      expect(await countedIn(cut.data)).toBe(ROWS);
    }
  });

  it('with invalid UTF-8, endless ids and wrong columns loses only those rows, which dead letters name', async () => {
    const bad = [
      Buffer.from(`\n${'x'.repeat(100_000)},s,i,1500000000000,1,2,3,4,5\n`),
      Buffer.from('u1,s1,i1,NaN,1,2,3,4,5\nu1,s1,i1\nu1,s1,,1500000000000,1,2,3,4,5\n'),
      Buffer.from([0xff, 0xfe, 0x80]),
      Buffer.from(',s1,i1,1500000000000,1,2,3,4,5\n'),
    ];
    const file = Buffer.concat([Buffer.from(HEADER + lines(50)), ...bad, Buffer.from(lines(50))]);
    const { code, stdout, data } = await importing('odd.csv', file);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ rows: 105, rejected: 4, records: 101 });
    const letters = await runFreshet('dead-letters', 'list', '--data', data);
    expect(
      letters.stdout
        .trim()
        .split('\n')
        .map((text) => (JSON.parse(text) as { offset: number }).offset),
    ).toEqual([51, 52, 53, 54]);
    const users = await inspect(data, (inspection) => inspection.users());
    expect(users.map(({ key }) => key).filter((key) => !/^u\d$/.test(key))).toEqual(['\ufffd\ufffd\ufffd']);
  });
});

function countedIn(data: string): Promise<number> {
  return inspect(data, async (inspection) =>
    (await inspection.users()).reduce((sum, user) => sum + interactionsOf(user), 0),
  );
}
