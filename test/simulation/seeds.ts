/**
 * Many seeds in a row: what failed, how long it took, which faults were injected.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../streams/clock.js';
import { FAULT_KINDS, noFaults } from './faults.js';
import type { FaultCounts } from './faults.js';
import { simulate } from './simulation.js';
import type { Mutation, RunResult } from './simulation.js';

export interface SeedsResult {
  readonly seeds: number;
  readonly failures: readonly RunResult[];
  readonly seconds: number;
  readonly faults: FaultCounts;
  readonly records: number;
  readonly events: number;
}

export interface SeedsOptions {
  readonly from: number;
  readonly count: number;
  readonly mutation?: Mutation | undefined;
  /** Stop at the first failing seed. */
  readonly isFirstEnough?: boolean;
  readonly onRun?: (result: RunResult) => void;
}

export async function runSeeds({ from, count, mutation, isFirstEnough, onRun }: SeedsOptions): Promise<SeedsResult> {
  const startedMs = systemClock.monotonic();
  const failures: RunResult[] = [];
  const faults = noFaults();
  let seeds = 0;
  let records = 0;
  let events = 0;
  for (let seed = from; seed < from + count; seed++) {
    const result = await simulate(seed, mutation);
    seeds++;
    records += result.records;
    events += result.events;
    for (const kind of FAULT_KINDS) faults[kind] += result.faults[kind];
    if (result.violations.length > 0) failures.push(result);
    onRun?.(result);
    if (result.violations.length > 0 && isFirstEnough === true) break;
  }
  const seconds = Math.round(systemClock.monotonic() - startedMs) / 1_000;
  return { seeds, failures, seconds, faults, records, events };
}

export function replayCommand(seed: number): string {
  return `npm run simulation -- --seed ${seed}`;
}

/** One failed run for people: the first things that differ, and how to see it again. */
export function describeFailure({ seed, violations, delivery }: RunResult): string {
  const shown = violations.slice(0, 4).map((violation) => `\n    ${violation}`);
  return `seed ${seed} (${delivery}): ${violations.length} violations; ${replayCommand(seed)}${shown.join('')}`;
}

/** Keeps a failing seed where the next person finds it. */
export function keepFailure(result: RunResult, folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, `seed-${result.seed}.txt`),
    `${describeFailure(result)}\n\n${result.violations.join('\n')}\n`,
  );
}
