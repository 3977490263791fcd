/**
 * kill -9 in the middle of a replay and of an import: the short version of kill-main.ts.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { findMiscounts, readGloboClicks } from './click-ledger.js';
import { GLOBO, requireDataSet } from './data-sets.js';
import { killAll, removeTemporaryDirectories } from './freshet.js';
import { differingTasks, runCleanly, runKilled } from './kill-runs.js';
import type { KillOptions } from './kill-runs.js';

const KILLS = 5;

const CASES = [
  // A row at a time takes dozens of commits: without waiting for the disk, so that the test is short.
  { mode: 'lockstep', limit: 500, sync: 'none', exact: ['users', 'items'] },
  { mode: 'import', limit: 3_000, sync: 'always', exact: ['users'] },
] as const;

describe('a process that reads a file and is killed again and again', () => {
  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  it.for(CASES)(
    'ends up with every click counted once ($mode, $limit clicks)',
    async ({ mode, limit, sync, exact }, context) => {
      const file = requireDataSet(GLOBO, context);
      const options: KillOptions = { mode, file, mapping: 'globo', limit, kills: KILLS, seed: 'test', sync };
      const clean = await runCleanly(options);
      const killed = await runKilled(options, clean.activeMs);
      expect(killed.kills).toBe(KILLS);
      expect(differingTasks(clean.digests, killed.digests, exact)).toEqual([]);
      expect(Object.keys(killed.digests)).toHaveLength(8);
      const clicks = readGloboClicks(file, limit);
      expect(await findMiscounts(clean.directory, clicks)).toEqual([]);
      expect(await findMiscounts(killed.directory, clicks)).toEqual([]);
      // The ledger itself is not blind: of a click more it says so.
      const missed = await findMiscounts(killed.directory, clicks.slice(1));
      expect(new Set(missed.map((line) => line.split(' ', 1)[0]))).toEqual(new Set(['user', 'session', 'item']));
    },
  );
});
