/**
 * Laws about the tree as a whole that neither compiler nor linter states: documentation that cannot fall behind,
 * error codes that are really thrown, and a header that says what each file is.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderErrorReference } from '../schemas/error-reference.js';
import { ERROR_CODES } from '../schemas/errors.js';
import type { SectionDescription } from '../streams/config.js';
import { renderConfigReference, renderSampleConfig } from '../streams/config-reference.js';

const ROOT = join(import.meta.dirname, '..');
const PACKAGES = ['schemas', 'streams', 'operators', 'serving', 'jobs'];

const REGENERATE = 'run `node scripts/run.mjs generate`';

function walk(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true }).flatMap((item) => {
    const path = join(directory, item.name);
    return item.isDirectory() ? walk(path) : [path];
  });
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const sources = PACKAGES.flatMap((name) => walk(join(ROOT, name)))
  .filter((path) => path.endsWith('.ts'))
  .map((path) => relative(ROOT, path));

describe('error codes', () => {
  it('are documented in schemas/ERRORS.md exactly as the table says', () => {
    expect(read('schemas/ERRORS.md'), REGENERATE).toBe(renderErrorReference());
  });

  it('are each used somewhere outside of the table', () => {
    const text = sources
      .filter((path) => path !== 'schemas/errors.ts')
      .map(read)
      .join('\n');
    const used = new Set([...text.matchAll(/['"]([A-Z][A-Z0-9_]+)['"]/g)].map((match) => match[1]));
    // invariant() throws this one, inside errors.ts.
    if (/\binvariant\(/.test(text)) used.add('INVARIANT_VIOLATED');
    const unused = Object.keys(ERROR_CODES).filter((code) => !used.has(code));
    expect(unused).toEqual([]);
  });
});

describe('source files', () => {
  const tests = walk(join(ROOT, 'test'))
    .filter((path) => path.endsWith('.ts'))
    .map((path) => relative(ROOT, path));
  const scripts = walk(join(ROOT, 'scripts'))
    .filter((path) => path.endsWith('.mjs'))
    .map((path) => relative(ROOT, path));

  it('open with a header comment that says what they are', () => {
    const bare = [...sources, ...scripts].filter((path) => !/^(#!.*\n)?\/\*\*\s*\n? ?\*? ?\S/.test(read(path)));
    expect(bare).toEqual([]);
  });

  it('name no folder of one machine: paths of a home or work folder do not belong into the tree', () => {
    const personal = [...sources, ...tests, ...scripts].filter((path) =>
      /['"`\s(]\/(home|Users|work|root)\//.test(read(path)),
    );
    expect(personal.filter((path) => path !== 'test/architecture.test.ts')).toEqual([]);
  });
});

describe('the configuration reference', () => {
  it('and the sample file are what the declarations say', async (context) => {
    const composed = join(ROOT, 'jobs', 'config.ts');
    if (!existsSync(composed)) return context.skip('jobs/config.ts does not compose the sections yet');
    const { freshetConfig } = (await import(composed)) as { freshetConfig: { describe(): SectionDescription[] } };
    const sections = freshetConfig.describe();
    expect(read('streams/CONFIG.md'), REGENERATE).toBe(renderConfigReference(sections));
    expect(read('freshet.sample.yaml'), REGENERATE).toBe(renderSampleConfig(sections));
  });
});
