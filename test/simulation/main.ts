/**
 * Runs the simulation from the command line: `--seeds N [--from K] [--seed K] [--json]`.
 *
 * Failing seeds are told at once with the command that replays them; without --json the faults and the lines of the
 * commit path that were run are told too. The last line is JSON.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULT_KINDS } from './faults.js';
import { LineCoverage } from './line-coverage.js';
import type { FileCoverage } from './line-coverage.js';
import { describeFailure, keepFailure, runSeeds } from './seeds.js';

const DEFAULT_SEEDS = 1_000;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: String(DEFAULT_SEEDS) },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const from = requireCount(values.seed ?? values.from, 'seed');
  const count = values.seed === undefined ? requireCount(values.seeds, 'seeds') : 1;
  const coverage = values.json ? undefined : await LineCoverage.start();
  const sink = { warehouseKilled: 0, blockTorn: 0, sinkRestarted: 0 };
  const result = await runSeeds({
    from,
    count,
    onRun(run) {
      for (const kind of Object.keys(sink) as (keyof typeof sink)[]) sink[kind] += run.sinkFaults[kind];
      if (run.violations.length === 0) return;
      keepFailure(run, join(process.cwd(), 'test', 'simulation', '.failures'));
      if (!values.json) print(values.seed === undefined ? describeFailure(run) : run.violations.join('\n'));
    },
  });
  if (!values.json) {
    print(`${result.records} input records and ${result.events} events in ${result.seeds} runs. Faults injected:`);
    const injected = [...FAULT_KINDS.map((kind) => [kind, result.faults[kind]] as const), ...Object.entries(sink)];
    for (const [kind, times] of injected) print(`  ${kind.padEnd(24)}${String(times).padStart(9)}`);
  }
  if (coverage !== undefined) printCoverage(await coverage.stop(), print);
  const { seeds, seconds } = result;
  const faults = { ...result.faults, ...sink };
  const failed = result.failures.map(({ seed }) => seed);
  print(JSON.stringify({ seeds, failed, seconds, ...(values.json ? { faults } : {}) }));
  return failed.length === 0 ? 0 : 1;
}

function printCoverage(files: readonly FileCoverage[], print: (line: string) => void): void {
  print('Lines of the commit path that were run:');
  for (const { file, lines, covered, missed } of files) {
    const share = `${covered}/${lines}`.padStart(9);
    print(`  ${file.padEnd(34)}${share}${missed.length === 0 ? '' : `  not: ${missed.join(' ')}`}`);
  }
}

function requireCount(text: string, option: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${option} is '${text}'; expected a whole number`);
}

process.exitCode = await main(process.argv.slice(2));
