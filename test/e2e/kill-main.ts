/**
 * Kills processes that read a file, compares what comes out with an uninterrupted run and with the file itself:
 * `--kills 20 --limit N --seed K --mode lockstep|import|both --file F --sync always|interval|none --json`.
 *
 *     npx esbuild test/e2e/kill-main.ts --bundle --platform=node --format=esm --packages=external \
 *       | node --input-type=module - --kills 20 --limit 20000
 *
 * From the project's root. The file has the columns of mapping `globo`. The last line is JSON; the exit code is 1 when
 * anything differs.
 */
import { parseArgs } from 'node:util';
import { findMiscounts, readGloboClicks } from './click-ledger.js';
import { dataSetPath, GLOBO } from './data-sets.js';
import { killAll, removeTemporaryDirectories } from './freshet.js';
import { differingTasks, runCleanly, runKilled } from './kill-runs.js';
import type { KillMode, KillOptions } from './kill-runs.js';

interface ModeResult {
  readonly mode: KillMode;
  readonly kills: number;
  readonly lives: number;
  readonly differingTasks: readonly string[];
  readonly miscounts: readonly string[];
}

/** In lockstep everything is reproducible; otherwise the order in which users' signals reach an item is not. */
const EXACT_STAGES = { lockstep: ['users', 'items'], import: ['users'] };
const MISCOUNTS_TOLD_MAX = 20;

async function runMode(options: KillOptions, say: (line: string) => void): Promise<ModeResult> {
  const { mode, file, limit } = options;
  const clean = await runCleanly(options);
  say(`${mode}: uninterrupted in ${Math.round(clean.activeMs)} ms`);
  const killed = await runKilled(options, clean.activeMs);
  say(`${mode}: ${killed.kills} kills, ${killed.lives} processes`);
  const clicks = readGloboClicks(file, limit);
  const miscounts: string[] = [];
  for (const { directory } of [clean, killed]) miscounts.push(...(await findMiscounts(directory, clicks)));
  const differing = differingTasks(clean.digests, killed.digests, EXACT_STAGES[mode]);
  for (const line of [...differing, ...miscounts.slice(0, MISCOUNTS_TOLD_MAX)]) say(`${mode}: ${line}`);
  return { mode, kills: killed.kills, lives: killed.lives, differingTasks: differing, miscounts };
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string', default: '20' },
      limit: { type: 'string', default: '20000' },
      seed: { type: 'string', default: '1' },
      mode: { type: 'string', default: 'both' },
      file: { type: 'string' },
      sync: { type: 'string', default: 'always' },
      json: { type: 'boolean', default: false },
    },
  });
  const file = values.file ?? dataSetPath(GLOBO);
  if (file === undefined) throw new Error(`There is no ../shared/data/${GLOBO}; name a file with --file`);
  const modes: KillMode[] = values.mode === 'both' ? ['lockstep', 'import'] : [values.mode as KillMode];
  const say = (line: string): void => void (values.json || process.stdout.write(`${line}\n`));
  const results: ModeResult[] = [];
  for (const mode of modes) {
    const [kills, limit] = [Number(values.kills), Number(values.limit)];
    const sync = values.sync as KillOptions['sync'];
    results.push(await runMode({ mode, file, mapping: 'globo', limit, kills, seed: values.seed, sync }, say));
  }
  process.stdout.write(`${JSON.stringify({ limit: Number(values.limit), seed: values.seed, results })}\n`);
  return results.every(({ differingTasks, miscounts }) => differingTasks.length + miscounts.length === 0) ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} finally {
  await killAll();
  removeTemporaryDirectories();
}
