/** TypeScript as one file that runs as a process of its own. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, type BuildOptions } from 'esbuild';

/** Inside of the repository, so that the bundle finds its packages. */
const OUTPUT = join(process.cwd(), '.cache', 'test-children');
let bundles = 0;

/** Returns the file, which is there until this process ends. */
export async function bundle(source: Pick<BuildOptions, 'entryPoints' | 'stdin'>): Promise<string> {
  mkdirSync(OUTPUT, { recursive: true });
  const outfile = join(OUTPUT, `${process.pid}-${bundles++}.mjs`);
  const kind = { bundle: true, platform: 'node', format: 'esm', packages: 'external' } as const;
  await build({ ...source, ...kind, outfile, logLevel: 'error' });
  process.once('exit', () => rmSync(outfile, { force: true }));
  return outfile;
}
