/** Runs a few lines of TypeScript as a process of their own: for what only shows when a process ends. */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { systemRandom } from '../../streams/random.js';

/** Inside of the repository, so that the bundle finds its packages. */
const OUTPUT = join(process.cwd(), '.cache', 'test-children');
/** Far above what such a script takes: one that does not end is at fault. */
const END_MS_MAX = 60_000;

/**
 * Returns what it wrote to standard output. Rejects unless it ends by itself, with exit code 0.
 * @param folder what its imports are relative to
 */
export async function runScript(contents: string, folder: string): Promise<string> {
  mkdirSync(OUTPUT, { recursive: true });
  const outfile = join(OUTPUT, `script.${systemRandom().hex(8)}.mjs`);
  try {
    const stdin = { contents, resolveDir: folder, loader: 'ts' as const };
    const bundle = { bundle: true, platform: 'node', format: 'esm', packages: 'external' } as const;
    await build({ stdin, outfile, logLevel: 'error', ...bundle });
    return (await promisify(execFile)(process.execPath, [outfile], { timeout: END_MS_MAX })).stdout;
  } finally {
    rmSync(outfile, { force: true });
  }
}
