/**
 * A file that is not in time order, imported as it is, against the same rows sorted by time: the sessions that a
 * reader of `sessions` ends up with are the same, explicit ones and those cut by a gap alike.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { countBy, DESKDROP, readCsv, readLines, requireDataSet } from './data-sets.js';
import { killAll, removeTemporaryDirectories, resultOf, ROOT, temporaryDirectory } from './freshet.js';
import { inspect } from './inspect.js';

/** Over 90 days of disorder, and users with more than 50 sessions. The whole file has 322 days and 219 sessions. */
const ROWS = 7_000;
const WAIT_MS = 400 * 86_400_000;
const SETTINGS = [
  ...['--set', `operators.sessionLatenessMs=${WAIT_MS}`],
  ...['--set', 'operators.sessionsRetained=256'],
  // Of a person who has been idle for so long all is forgotten, sessions that wait for late records too.
  ...['--set', `operators.userIdleMs=${WAIT_MS}`],
];

function writeSorted(path: string, target: string, rows: number): string {
  const [header, ...lines] = readLines(path, rows + 1);
  const timeOf = (line: string): number => Number(line.slice(0, line.indexOf(',')));
  writeFileSync(target, [header, ...lines.toSorted((left, right) => timeOf(left) - timeOf(right))].join('\n'));
  return target;
}

/** The mapping that comes with the engine, and one that does not look at the file's own sessions. */
function mappings(directory: string): readonly string[] {
  const shipped = join(ROOT, 'jobs', 'mappings', 'deskdrop.yaml');
  const gaps = join(directory, 'gaps.yaml');
  writeFileSync(gaps, readFileSync(shipped, 'utf8').replace(/ +sessionId: sessionId\n/, ''));
  return [shipped, gaps];
}

describe('events that do not come in time order', () => {
  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  it('give the sessions of the sorted file, explicit ones and those cut by a gap', async (context) => {
    const file = requireDataSet(DESKDROP, context);
    const directory = temporaryDirectory();
    const sorted = writeSorted(file, join(directory, 'sorted.csv'), ROWS);
    const shuffled = join(directory, 'as-it-is.csv');
    writeFileSync(shuffled, readLines(file, ROWS + 1).join('\n'));
    for (const mapping of mappings(directory)) {
      const [left, right] = [await sessionsOf(shuffled, mapping), await sessionsOf(sorted, mapping)];
      const differing = [...new Set([...left.keys(), ...right.keys()])].filter(
        (id) => JSON.stringify(left.get(id)) !== JSON.stringify(right.get(id)),
      );
      expect(differing).toEqual([]);
      expect([...left.values()].reduce((sum, { interactions }) => sum + interactions, 0)).toBe(ROWS);
      if (mapping.endsWith('gaps.yaml')) continue;
      const inFile = countBy(readCsv(shuffled), (row) => `${row.get('personId')} ${row.get('sessionId')}`);
      expect(new Map([...left].map(([id, { interactions }]) => [id, interactions]))).toEqual(inFile);
    }
  });
});

async function sessionsOf(file: string, mapping: string) {
  const data = temporaryDirectory();
  const args = ['import', file, '--mapping', mapping, '--data', data, '--set', 'streams.sync=none', ...SETTINGS];
  expect(await resultOf(...args)).toMatchObject({ rows: ROWS, rejected: 0 });
  return inspect(data, (inspection) => inspection.sessions());
}
