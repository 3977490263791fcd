/**
 * The static checks: formatting, lint, types, import law, unused code; two at a time, each from its own cache.
 *
 * Every check runs even when an earlier one fails, and each prints its output under its own name, so that one run
 * tells everything. Caches live under node_modules/.cache and are absent in a fresh clone.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

const CACHE = 'node_modules/.cache';
const ROOT = join(import.meta.dirname, '..');
const FOLDERS = ['schemas', 'streams', 'operators', 'serving', 'jobs', 'test'].filter((name) =>
  existsSync(join(ROOT, name)),
);

/** Longest first: with two lanes that is the shortest way through. */
const CHECKS = [
  {
    name: 'eslint',
    command: `eslint --max-warnings 0 --cache --cache-strategy content --cache-location ${CACHE}/eslint/ .`,
  },
  { name: 'tsc', command: `tsc --noEmit --incremental --tsBuildInfoFile ${CACHE}/tsc.tsbuildinfo` },
  { name: 'dependency-cruiser', command: `depcruise --config .dependency-cruiser.cjs ${FOLDERS.join(' ')}` },
  { name: 'knip', command: `knip --no-progress --cache --cache-location ${CACHE}/knip` },
  {
    name: 'prettier',
    command: `prettier --check --log-level warn --cache --cache-strategy content --cache-location ${CACHE}/freshet-prettier .`,
  },
];

/** The development machines have two cores; more lanes only add memory. */
const LANES = 2;

/** Runs all checks and returns the names of those that failed. */
export async function check(root) {
  mkdirSync(join(root, CACHE), { recursive: true });
  const waiting = [...CHECKS];
  const failed = [];
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { code, output, seconds } = await run(root, next.command);
      console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${next.name} (${seconds} s)`);
      if (code !== 0) {
        failed.push(next.name);
        console.log(output.trimEnd());
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return failed;
}

export const CHECK_COUNT = CHECKS.length;

function run(root, command) {
  const [tool, ...args] = command.split(' ');
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const child = spawn(join(root, 'node_modules', '.bin', tool), args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    });
    let output = '';
    const done = (code) => resolve({ code, output, seconds: ((performance.now() - startedMs) / 1000).toFixed(1) });
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => {
      output += String(error);
      done(127);
    });
    child.on('close', (code) => done(code ?? 1));
  });
}
