/** Node's flags for an engine are told in three places, of which two are no programs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ENGINE_FLAGS } from '../../jobs/cli-process.js';

const read = (file: string): string => readFileSync(join(process.cwd(), file), 'utf8');

it('runs with the same flags by npm start, in the image, and where it is measured', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  expect(scripts.start).toBe(`node ${ENGINE_FLAGS.join(' ')} scripts/run.mjs start`);
  const entry = /^ENTRYPOINT (.*)$/m.exec(read('Dockerfile'))![1]!;
  expect(JSON.parse(entry)).toEqual(['node', ...ENGINE_FLAGS, 'dist/jobs/cli.js']);
});
