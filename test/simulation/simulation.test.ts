/**
 * A thousand runs of the simulation, every one different and every one reproducible.
 *
 * Failing seeds are kept in .failures/ with what was wrong; the error says how to replay them.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FAULT_KINDS, noFaults } from './faults.js';
import { describeFailure, keepFailure, runSeeds } from './seeds.js';
import { simulate } from './simulation.js';

const CHUNKS = 10;
const SEEDS_PER_CHUNK = 100;
/** Far above what a chunk takes; the machine may be busy. */
const CHUNK_TIMEOUT_MS = 300_000;

describe('the simulation', () => {
  const injected = noFaults();

  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    const from = 1 + chunk * SEEDS_PER_CHUNK;
    const name = `finds state, timers and outputs exactly as the log demands, seeds ${from} to ${from + SEEDS_PER_CHUNK - 1}`;
    it(name, { timeout: CHUNK_TIMEOUT_MS }, async () => {
      const { failures, faults } = await runSeeds({ from, count: SEEDS_PER_CHUNK });
      for (const kind of FAULT_KINDS) injected[kind] += faults[kind];
      for (const failure of failures) keepFailure(failure, join(import.meta.dirname, '.failures'));
      expect(failures.map(describeFailure)).toEqual([]);
    });
  }

  it('injects every kind of fault', () => {
    expect(FAULT_KINDS.filter((kind) => injected[kind] < 10)).toEqual([]);
  });

  it('is the same run for the same seed, event by event', async () => {
    expect(await simulate(7)).toEqual(await simulate(7));
  });
});
