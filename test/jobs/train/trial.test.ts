import { describe, expect, it } from 'vitest';
import { bestFirst, combinations, runTrial, settingAsideLast } from '../../../jobs/train/trial.js';
import { systemClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { smallWorld } from '../../serving/models/small-world.js';

const context = {
  ...{ clock: systemClock, logger: silentLogger, signal: new AbortController().signal },
  ...{ threads: 1, memoryBytesMax: 2 ** 30 },
};

describe('trials of settings', () => {
  it('are every combination of the values, the last name changing fastest', async () => {
    const trials = await combinations('ials', { factors: [4, 8], alpha: [1, 2, 3] }, { seed: '1' });
    expect(trials.map(({ settings }) => [settings['factors'], settings['alpha']])).toEqual([
      [4, 1],
      [4, 2],
      [4, 3],
      [8, 1],
      [8, 2],
      [8, 3],
    ]);
  });

  it('are drawn where there are more than asked for, the same by the same seed', async () => {
    const values = { alpha: Array.from({ length: 100 }, (_, i) => i), epochs: [1, 2, 3] };
    const drawn = await combinations('ials', values, { most: 20, seed: '7' });
    const keys = drawn.map(({ settings }) => JSON.stringify(settings));
    expect(new Set(keys).size).toBe(20);
    expect(await combinations('ials', values, { most: 20, seed: '7' })).toEqual(drawn);
    expect(await combinations('ials', values, { most: 20, seed: '8' })).not.toEqual(drawn);
  });

  it('of a value that the algorithm does not take are not begun', async () => {
    const wrong = combinations('ials', { factors: [4, -1] }, { seed: '1' });
    await expect(wrong).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(combinations('nothing', {}, { seed: '1' })).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
    const none = combinations('ials', { factors: [] }, { seed: '1' });
    await expect(none).rejects.toMatchObject({ code: 'USAGE_INVALID' });
  });

  it('never see the interaction that a training is measured on', async () => {
    const all = smallWorld({ users: 30 });
    const rest = settingAsideLast(all, '1');
    all.userIds.forEach((_, user) => {
      const row = Array.from(all.items.subarray(all.rowStart[user], all.rowStart[user + 1]));
      expect(Array.from(rest.items.subarray(rest.rowStart[user], rest.rowStart[user + 1]))).toEqual(row.slice(0, -1));
    });
  });

  it('tell settings that learn from those that cannot', async () => {
    const world = smallWorld({ users: 200, items: 80, interactionsPerUser: 10 });
    const trials = await combinations('ials', { factors: [1, 8], epochs: [8] }, { seed: '1' });
    const results = [];
    for (const trial of trials) results.push(await runTrial(world, trial, context));
    const ordered = bestFirst(results);
    expect(ordered[0]!.settings).toEqual({ factors: 8, epochs: 8 });
    expect(ordered[0]!.metrics['ndcg@10']!).toBeGreaterThan(1.5 * ordered[1]!.metrics['ndcg@10']!);
  });
});
