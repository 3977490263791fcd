import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { CaseList } from '../../../jobs/evaluate/case-list.js';
import { evaluationSchema, type Protocol } from '../../../jobs/evaluate/evaluation-schema.js';
import { casesOfGiven, readPrefixTargets } from '../../../jobs/evaluate/given-split.js';
import { IdIndex } from '../../../jobs/train/interaction-table.js';
import { trainingSetOf } from '../../serving/models/small-world.js';

const folder = mkdtempSync(join(tmpdir(), 'freshet-given-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const protocolOf = (raw: object): Protocol =>
  evaluationSchema.parse({ name: 'x', data: { file: 'f', mapping: 'm' }, models: [{ algorithm: 'a' }], protocol: raw })
    .protocol;

const casesOf = (cases: CaseList): { user: number; history: number[]; relevant: number[] }[] =>
  Array.from({ length: cases.count }, (_, c) => ({
    user: cases.query(c).user,
    history: [...cases.query(c).items],
    relevant: [...cases.relevant(c)],
  }));

describe('a given split', () => {
  const train = trainingSetOf([[0, 1], [2], [], [3]], 8);
  const test = trainingSetOf([[4, 5], [], [6], [3, 7]], 8);

  it('asks each user of the test file for what it holds of the user, from the training row', () => {
    const cases = casesOfGiven(train, test, protocolOf({ name: 'given' }));
    // User 2 is not in training; item 3 was already met by user 3 and is not offered again.
    expect(casesOf(cases)).toEqual([
      { user: 0, history: [0, 1], relevant: [4, 5] },
      { user: 3, history: [3], relevant: [7] },
    ]);
  });

  it('asks users that training does not know as strangers, when told to', () => {
    const cases = casesOfGiven(train, test, protocolOf({ name: 'given', coldUsers: true }));
    expect(casesOf(cases)).toContainEqual({ user: -1, history: [], relevant: [6] });
  });

  it('takes as right only what was liked well enough', () => {
    const rated = { ...test, weights: Float32Array.of(5, 2, 4, 5, 3), hasWeights: true };
    const cases = casesOfGiven(train, rated, protocolOf({ name: 'given', relevantFrom: 4 }));
    expect(casesOf(cases)).toEqual([{ user: 0, history: [0, 1], relevant: [4] }]);
  });

  it('refuses a protocol that makes its own split', () => {
    expect(() => casesOfGiven(train, test, protocolOf({ name: 'leave-last-out' }))).toThrow(/'leave-last-out'/);
  });
});

describe('prefixes with targets', () => {
  it('are questions of strangers, and share their ids with training', async () => {
    const path = join(folder, 'test.txt.gz');
    writeFileSync(path, gzipSync('a b\tc\n\nnew a\tb\n'));
    const items = new IdIndex(['a', 'b', 'c']);
    const targets = await readPrefixTargets(path, items);
    expect(items.ids).toEqual(['a', 'b', 'c', 'new']);
    const protocol = protocolOf({ name: 'session-prefixes' });
    expect(casesOf(targets.casesFor(trainingSetOf([[0, 1, 2]], 4), protocol))).toEqual([
      { user: -1, history: [0, 1], relevant: [2] },
      { user: -1, history: [3, 0], relevant: [1] },
    ]);
  });

  it('are refused by the number of the line that is none', async () => {
    const path = join(folder, 'bad.txt');
    writeFileSync(path, 'a b\tc\na b c\n');
    await expect(readPrefixTargets(path, new IdIndex())).rejects.toMatchObject({ code: 'ROW_INVALID' });
    await expect(readPrefixTargets(path, new IdIndex())).rejects.toThrow(/Line 2/);
    await expect(readPrefixTargets(join(folder, 'none'), new IdIndex())).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
    });
  });
});
