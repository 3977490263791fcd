/** The example in streams/README.md: it is the one that is compiled and run here. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../streams/clock.js';
import type { WindowState } from '../../streams/index.js';
import { inMemory, onDisk } from './readme-example.js';

const MINUTE_MS = 60_000;
const click = (user: string, ts: number, page: string) => ({ user, ts, page });

const read = (path: string): string => readFileSync(join(import.meta.dirname, path), 'utf8');

describe('the example of the library', () => {
  it('is in the README as it is compiled', () => {
    const [, shown] = /```ts\n(import [\s\S]*?)```/.exec(read('../../streams/README.md'))!;
    const compiled = read('readme-example.ts').replaceAll('../../streams/index.js', 'freshet/streams');
    expect(shown).toBe(compiled.slice(compiled.indexOf('import ')));
    expect(shown!.split('\n').length).toBeLessThanOrEqual(60);
  });

  it('runs in memory: late clicks and all', async () => {
    const clicks = [click('ann', 40 * MINUTE_MS, 'c'), click('ann', 0, 'a'), click('ann', 20 * MINUTE_MS, 'b')];
    const sent = (await inMemory(clicks, 120 * MINUTE_MS)).map((text) => JSON.parse(text) as object);
    const visit = { key: 'ann', start: 0, end: 40 * MINUTE_MS, withdrawn: false, value: 'a b c' };
    expect(sent).toContainEqual(expect.objectContaining(visit));
  });

  it('runs on disk, and goes on where it stopped', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'freshet-readme-'));
    try {
      const now = systemClock.now();
      await onDisk(directory, [click('ann', now, 'a'), click('bob', now, 'x')], 'bob');
      const state = await onDisk(directory, [click('ann', now + MINUTE_MS, 'b')], 'ann');
      const { windows } = state!.operators['visits'] as WindowState<string[]>;
      expect(windows.map(({ start, end, aggregate }) => [start, end, aggregate])).toEqual([
        [now, now + MINUTE_MS, ['a', 'b']],
      ]);
      expect(state!.version).toBeGreaterThan(0);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
