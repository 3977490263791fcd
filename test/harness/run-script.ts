/** Runs a few lines of TypeScript as a process of their own: for what only shows when a process ends. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { bundle } from './bundle.js';

/** Far above what such a script takes: one that does not end is at fault. */
const END_MS_MAX = 60_000;

/**
 * Returns what it wrote to standard output. Rejects unless it ends by itself, with exit code 0.
 * @param folder what its imports are relative to
 */
export async function runScript(contents: string, folder: string): Promise<string> {
  const script = await bundle({ stdin: { contents, resolveDir: folder, loader: 'ts' } });
  return (await promisify(execFile)(process.execPath, [script], { timeout: END_MS_MAX })).stdout;
}
