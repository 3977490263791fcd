/**
 * Rewrites the references that are checked in and compared by test/architecture.test.ts.
 *
 * They are rendered from the built declarations: the table of error codes, and, composed by jobs/config.ts, the
 * configuration reference with its sample file.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export async function generate(root) {
  const load = (path) => import(pathToFileURL(join(root, 'dist', path)).href);
  const write = (path, text) => {
    const target = join(root, path);
    if (existsSync(target) && readFileSync(target, 'utf8') === text) return;
    writeFileSync(target, text);
    console.error(`Wrote ${path}`);
  };
  const { renderErrorReference } = await load('schemas/error-reference.js');
  write('schemas/ERRORS.md', renderErrorReference());
  if (!existsSync(join(root, 'dist', 'jobs', 'config.js'))) return;
  const { freshetConfig } = await load('jobs/config.js');
  const { renderConfigReference, renderSampleConfig } = await load('streams/config-reference.js');
  write('streams/CONFIG.md', renderConfigReference(freshetConfig.describe()));
  write('freshet.sample.yaml', renderSampleConfig(freshetConfig.describe()));
}
