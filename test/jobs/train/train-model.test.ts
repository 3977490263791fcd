import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { alignModel } from '../../../jobs/train/aligned-model.js';
import { type LoadedModel, ModelRegistry } from '../../../jobs/train/model-registry.js';
import { trainModel } from '../../../jobs/train/train-model.js';
import type { TrainOptions, TrainResult } from '../../../jobs/train/train-model.js';
import { itemKnn } from '../../../serving/models/item-knn/item-knn.js';
import { parseSettings } from '../../../serving/models/fitting.js';
import { ManualClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { fitContext } from '../../serving/models/fit-context.js';
import { smallWorld, trainingSetOf } from '../../serving/models/small-world.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'freshet-train-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const clock = new ManualClock();
const world = smallWorld({ users: 200 });

async function train(overrides: Partial<TrainOptions>, set = world): Promise<TrainResult> {
  await clock.advance(1_000);
  const options: TrainOptions = {
    algorithm: 'item_knn',
    name: 'home',
    settings: {},
    seed: '1',
    source: 'test',
    threads: 1,
    memoryBytesMax: 2 ** 30,
    checkpointEveryMs: 0,
    hasHoldout: true,
    margin: 0.05,
    isWarm: false,
    publishes: true,
    ...overrides,
  };
  return trainModel(set, options, {
    clock,
    logger: silentLogger,
    signal: new AbortController().signal,
    folder,
    registry: new ModelRegistry(folder, clock),
    onProgress: () => undefined,
    say: () => undefined,
  });
}

describe('training', () => {
  it('measures on what was kept back, publishes, and leaves no checkpoint behind', async () => {
    const { metrics, published } = await train({});
    // 2 of the 32 unknown films of the own taste are left: chance is .3.
    expect(metrics['hr@10']).toBeGreaterThan(0.6);
    expect(published!.manifest.metrics).toEqual(metrics);
    expect(published!.manifest.data.interactions).toBe(world.items.length - world.userIds.length);
    const unfinished = join(folder, 'unfinished');
    expect(existsSync(unfinished) ? readdirSync(unfinished) : []).toEqual([]);
  });

  it('refuses a model that is worse on the same questions, and the published one stays in use', async () => {
    const first = await train({});
    await expect(train({ algorithm: 'popularity' })).rejects.toMatchObject({ code: 'MODEL_REFUSED' });
    const [entry] = await new ModelRegistry(folder, clock).list();
    expect(entry!.version).toBe(first.published!.manifest.version);
  });

  it('publishes it where the margin allows it', async () => {
    await train({});
    const { published, metrics, publishedMetrics } = await train({ algorithm: 'popularity', margin: 1 });
    expect(published!.manifest.algorithm).toBe('popularity');
    expect(publishedMetrics!['ndcg@10']).toBeGreaterThan(metrics['ndcg@10']!);
  });

  it('publishes what candidates are generated from where the settings say so, of people without their ids', async () => {
    const settings = { factors: 4, epochs: 2, candidates: 'generated' };
    const { manifest } = (await train({ algorithm: 'ials', settings })).published!;
    expect(manifest.candidates).toEqual({ people: 200, itemsPerPerson: 40, dimensions: 4 });
    const files = Object.keys(manifest.files).filter((file) => file.startsWith('candidate-'));
    expect(files).toHaveLength(9);
    const all = await train({ algorithm: 'ials', settings: { ...settings, candidates: 'all' }, margin: 1 });
    expect(all.published!.manifest.candidates).toBeUndefined();
    expect(Object.keys(all.published!.manifest.files).filter((file) => file.startsWith('candidate-'))).toEqual([]);
  });

  it('only measures when told not to publish', async () => {
    const { published } = await train({ publishes: false });
    expect(published).toBeUndefined();
    expect(await new ModelRegistry(folder, clock).list()).toEqual([]);
  });
});

describe('going on from a published version', () => {
  it('learns from people with something new alone, and keeps what they do not touch', async () => {
    const settings = { factors: 8, epochs: 3 };
    const first = await train({ algorithm: 'ials', settings, hasHoldout: false });
    const since = first.published!.manifest.data.toMs!;
    const rows = [
      [0, 4, 8, 12, 40],
      [1, 5, 9, 13, 41],
    ];
    const later = trainingSetOf(rows, 42);
    const news = { ...later, userIds: ['new-0', 'new-1'], times: later.times.map((time) => time + since) };
    const { published } = await train({ algorithm: 'ials', settings, hasHoldout: false, isWarm: true }, news);
    expect(published!.manifest.data.interactions).toBe(10);
    const load = { clock, logger: silentLogger, threads: 1 };
    const registry = new ModelRegistry(folder, clock);
    const [old, fresh] = await Promise.all(
      [first, { published }].map((made) => registry.load('home', load, made.published!.manifest.version)),
    );
    const vectorOf = ({ files, itemIds }: LoadedModel, itemId: string): Float32Array =>
      new Float32Array(files['items.f32']!.slice().buffer).subarray(itemIds.indexOf(itemId) * 8).subarray(0, 8);
    // Nobody new met item 2; item 4 was met, item 40 is new.
    expect([...vectorOf(fresh!, 'item-2')]).toEqual([...vectorOf(old!, 'item-2')]);
    expect([...vectorOf(fresh!, 'item-4')]).not.toEqual([...vectorOf(old!, 'item-4')]);
    expect(fresh!.itemIds).toContain('item-40');
  });

  it('learns from everything where the algorithm cannot go on', async () => {
    await train({});
    const { published } = await train({ isWarm: true });
    expect(published!.manifest.data.interactions).toBe(world.items.length - world.userIds.length);
  });
});

describe('a model of another training set', () => {
  it('answers in this set’s indexes, and knows nothing of items it never met', async () => {
    const old = trainingSetOf([[0, 1], [0, 1], [2]], 3);
    const model = await itemKnn.fit(old, parseSettings(itemKnn, { shrink: 0 }), fitContext());
    const set = { itemIds: ['item-new', 'item-1', 'item-0'], userIds: ['user-9'] };
    const aligned = alignModel({ model, itemIds: old.itemIds, userIds: old.userIds }, set);
    const query = { user: 0, items: Int32Array.of(0, 2) };
    expect([...aligned.score(query, Int32Array.of(0, 1, 2))]).toEqual([-Infinity, 1, 0]);
    const row = new Float32Array(3);
    await aligned.scoreAll([query], row);
    expect([...row]).toEqual([-Infinity, 1, 0]);
  });
});
