import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelRegistry } from '../../../jobs/train/model-registry.js';
import type { ManifestDraft, Published } from '../../../serving/models/published-version.js';
import { popularity } from '../../../serving/models/popularity/popularity.js';
import { ManualClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { fitContext } from '../../serving/models/fit-context.js';
import { trainingSetOf } from '../../serving/models/small-world.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'freshet-models-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const clock = new ManualClock();
const load = { clock, logger: silentLogger, threads: 1 };
const registry = (): ModelRegistry => new ModelRegistry(folder, clock);

/** Publishes a popularity model of these rows, a second after the one before. */
async function publish(rows: number[][]): Promise<Published> {
  await clock.advance(1_000);
  const set = trainingSetOf(rows, 3);
  const model = await popularity.fit(set, { halfLifeDays: 0 }, fitContext());
  const draft: ManifestDraft = {
    algorithm: 'popularity',
    spaceId: model.spaceId,
    settings: { halfLifeDays: 0 },
    seed: '1',
    itemCount: model.itemCount,
    userCount: model.userCount,
    data: { source: 'test', interactions: set.items.length, fromMs: null, toMs: null, hash: '' },
    metrics: { 'ndcg@10': 0.5 },
    trainSeconds: 1,
  };
  return registry().publish('popular', { files: model.save(), itemIds: set.itemIds, userIds: set.userIds }, draft);
}

const best = async (): Promise<string> => {
  const { model, itemIds } = await registry().load('popular', load);
  return itemIds[model.retrieve({ user: -1, items: new Int32Array(0) }, 1).items[0]!]!;
};

const fileOf = ({ manifest }: Published, file: string): string =>
  join(folder, 'popular', 'versions', manifest.version, file);

describe('the model registry', () => {
  it('gives back what was published, with its ids, by the latest version', async () => {
    await publish([[0, 0, 1]]);
    expect(await best()).toBe('item-0');
    const second = await publish([[2, 2, 1]]);
    expect(await best()).toBe('item-2');
    const [entry] = await registry().list();
    expect(entry!.version).toBe(second.manifest.version);
  });

  it('goes back to the version before by one call, and not to what was rolled back', async () => {
    await publish([[0, 0, 1]]);
    await publish([[2, 2, 1]]);
    await registry().rollBack('popular');
    expect(await best()).toBe('item-0');
    await expect(registry().rollBack('popular')).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
  });

  it('refuses a file that was changed, the manifest still in order', async () => {
    const published = await publish([[0, 1]]);
    const path = fileOf(published, 'scores.f32');
    const bytes = readFileSync(path);
    bytes[0]! ^= 1;
    writeFileSync(path, bytes);
    await expect(registry().load('popular', load)).rejects.toMatchObject({ code: 'MODEL_INVALID' });
  });

  it('refuses a manifest that was changed, even where every hash in it fits', async () => {
    const published = await publish([[0, 1]]);
    const path = fileOf(published, 'manifest.json');
    writeFileSync(path, published.text.replace('"ndcg@10": 0.5', '"ndcg@10": 0.9'));
    await expect(registry().describe('popular')).rejects.toMatchObject({ code: 'MODEL_INVALID' });
  });

  it('refuses to roll back onto a damaged version, and leaves the one in use', async () => {
    const first = await publish([[0, 0, 1]]);
    await publish([[2, 2, 1]]);
    rmSync(fileOf(first, 'manifest.sig'));
    await expect(registry().rollBack('popular')).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    expect(await best()).toBe('item-2');
  });

  it('keeps the private key to its owner', async () => {
    await publish([[0]]);
    expect(statSync(join(folder, 'keys', 'private.pem')).mode & 0o077).toBe(0);
  });

  it('takes no name that leads out of its folder', async () => {
    await expect(registry().describe('../keys')).rejects.toMatchObject({ code: 'USAGE_INVALID' });
    await expect(registry().describe('absent')).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
  });
});
