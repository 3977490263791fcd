import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelRegistry } from '../../../jobs/train/model-registry.js';
import { encodeRecord } from '../../../schemas/codec.js';
import { servingSection, type ServingConfig } from '../../../serving/config.js';
import {
  candidateFiles,
  type CandidateParts,
  learnCandidates,
} from '../../../serving/models/candidates/candidate-parts.js';
import { parseSettings } from '../../../serving/models/fitting.js';
import { ials } from '../../../serving/models/ials/ials.js';
import { popularity } from '../../../serving/models/popularity/popularity.js';
import type { Algorithm } from '../../../serving/models/model.js';
import { type Published, readVersionFiles } from '../../../serving/models/published-version.js';
import type { TrainingSet } from '../../../serving/models/training-set.js';
import { createRecommender, type Recommendation } from '../../../serving/pipeline/recommender.js';
import { PublishedModels } from '../../../serving/published/published-models.js';
import type { UserSnapshotLike } from '../../../serving/retrieval/request.js';
import { ManualClock } from '../../../streams/clock.js';
import { defineConfig } from '../../../streams/config.js';
import type { LogRecord } from '../../../streams/log/event-log.js';
import { silentLogger } from '../../../streams/logger.js';
import { createMetrics } from '../../../streams/metrics.js';
import { seededRandom } from '../../../streams/random.js';
import { fitContext } from '../models/fit-context.js';
import { smallWorld, trainingSetOf } from '../models/small-world.js';
import { person, World } from '../pipeline/world.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'freshet-published-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const clock = new ManualClock();
const T0 = Date.UTC(2024, 0, 1);
const world = smallWorld({ users: 80 });

class Node {
  readonly metrics = createMetrics({ namespace: 'test' });
  readonly published: PublishedModels;
  private readonly recommender;

  constructor(config: Partial<ServingConfig> = {}, items = world.itemIds) {
    const tables = new World().session('s', items, T0).tables;
    const { serving } = defineConfig({ serving: servingSection }).load();
    const parts = { folder, tables, clock, logger: silentLogger, metrics: this.metrics };
    this.published = new PublishedModels({ ...parts, config: { ...serving, ...config } });
    const { sources: models, stages } = this.published;
    this.recommender = createRecommender({ models, full: { sources: [], stages }, push: { sources: [] } }, tables);
  }

  async announce({ manifest, text, checksum, signature }: Published): Promise<void> {
    const { name, version } = manifest;
    const fields = { name, version, manifest: text, checksum, signature, publishedAt: clock.now() };
    this.published.apply({ key: name, value: encodeRecord('ModelPublished', fields) } as unknown as LogRecord);
    await this.published.settled();
  }

  ask(user: Partial<UserSnapshotLike>, pipeline: 'full' | 'push' = 'full'): Recommendation {
    return this.recommender.recommend({
      user: person(user),
      personId: 'ada',
      placement: 'p',
      limit: 5,
      pipeline,
      now: T0,
    });
  }
}

async function publish(
  algorithm: Algorithm,
  seed: string,
  raw: object = {},
  set: TrainingSet = world,
  change: (parts: CandidateParts) => CandidateParts = (parts) => parts,
): Promise<Published> {
  await clock.advance(1_000);
  const settings = parseSettings(algorithm, raw);
  const model = await algorithm.fit(set, settings, fitContext());
  const { itemCount, userCount, spaceId } = model;
  const random = seededRandom(seed);
  const isGenerated = (settings as { candidates?: string }).candidates === 'generated';
  const learnt = isGenerated ? await learnCandidates(set, model, { random, nextTurn: () => Promise.resolve() }) : null;
  const parts = learnt === null ? undefined : change(learnt);
  const { dimensions = 0, met } = parts ?? {};
  const candidates = met && { people: met.start.length - 1, itemsPerPerson: 40, dimensions };
  const files = { ...model.save(), ...(parts === undefined ? {} : candidateFiles(parts)) };
  return new ModelRegistry(folder, clock).publish(
    'home',
    { files, itemIds: set.itemIds, userIds: set.userIds },
    {
      candidates,
      algorithm: algorithm.name,
      ...{ settings, spaceId, seed, itemCount, userCount, metrics: {}, trainSeconds: 1 },
      data: { source: 'test', interactions: set.items.length, fromMs: null, toMs: null, hash: seed },
    },
  );
}

const IALS = { factors: 8, epochs: 5, coldStartBelow: 5 };
/** Six items of taste 1: items are of taste (index mod 4). */
const TASTE_1 = [1, 5, 9, 13, 17, 21].map((item) => `item-${item}`);

describe('published models in serving', () => {
  it('are asked with the history of the person, in words, with their version, and offer nothing that was met or blocked', async () => {
    const node = new Node();
    expect(node.ask({ recentItems: TASTE_1 })).toMatchObject({ items: [], models: {} });
    const { manifest } = await publish(ials, '1', IALS);
    await node.announce(await new ModelRegistry(folder, clock).describe('home'));
    const blockedItems = new Set(['item-25']);
    const { items, models } = node.ask({ recentItems: TASTE_1, blockedItems });
    expect(models).toEqual({ 'model/home': manifest.version });
    const own = items.filter(({ itemId }) => Number(itemId.slice(5)) % 4 === 1);
    expect(own.length).toBeGreaterThanOrEqual(3);
    for (const { itemId, source, reasons } of items) {
      expect([...TASTE_1, 'item-25']).not.toContain(itemId);
      expect(source).toBe('model/home');
      expect(reasons[0]).toMatch(/viewed/);
    }
  });

  it('answer people of fewer than five interactions from the cold start, with confidence .3', async () => {
    const node = new Node();
    await node.announce(await publish(ials, '1', IALS));
    for (const { source, confidence, reasons } of node.ask({ recentItems: TASTE_1.slice(0, 3) }).items) {
      expect({ source, confidence: Math.round(confidence * 100) / 100 }).toEqual({
        source: 'cold_start',
        confidence: 0.3,
      });
      expect(reasons[0]).toMatch(/as long as we know little of you/);
    }
  });

  it('find the same through a vector index as by a scan', async () => {
    const published = await publish(ials, '1', IALS);
    const [scanned, indexed] = [new Node(), new Node({ modelIndexFrom: 1 })];
    for (const node of [scanned, indexed]) await node.announce(published);
    expect(indexed.published.list()[0]).toMatchObject({ search: 'index', recall: 1 });
    const ids = (node: Node): string[] => node.ask({ recentItems: TASTE_1 }).items.map(({ itemId }) => itemId);
    expect(ids(indexed)).toEqual(ids(scanned));
  });

  it('rank generated candidates alone where they were published so, and offer only what they are sure of', async () => {
    const raw = { ...IALS, candidates: 'generated', confidenceMin: 0 };
    const node = new Node();
    await node.announce(await publish(ials, '1', raw));
    expect(node.published.list()[0]).toMatchObject({ search: 'candidates', recall: null });
    const asked = (of: Node): string[] => of.ask({ recentItems: TASTE_1 }).items.map(({ itemId }) => itemId);
    const found = asked(node);
    expect(found).toHaveLength(5);
    expect(found.filter((itemId) => TASTE_1.includes(itemId))).toEqual([]);

    // Only two items can be generated: the model ranks the others as high as before, and they are not offered.
    const [first, last] = [found[0]!, found[4]!].map((itemId) => Number(itemId.slice(5)));
    const pair = (parts: CandidateParts): CandidateParts => {
      const people = parts.met.start.length - 1;
      const values = Int32Array.from({ length: 2 * people }, (_, p) => (p % 2 === 0 ? first! : last!));
      return {
        ...parts,
        similar: parts.similar.fill(-1),
        met: { start: Int32Array.from({ length: people + 1 }, (_, p) => 2 * p), values },
      };
    };
    await node.announce(await publish(ials, '2', raw, world, pair));
    expect(asked(node)).toEqual([found[0], found[4]]);

    await node.announce(await publish(ials, '3', { ...raw, confidenceMin: 1 }));
    expect(asked(node)).toEqual([]);
    // Who is known too little of still gets the cold start.
    expect(node.ask({ recentItems: TASTE_1.slice(0, 3) }).items[0]).toMatchObject({ source: 'cold_start' });
  });

  it('are refused when what candidates are generated from is not what the manifest says', async () => {
    const node = new Node();
    const { manifest } = await publish(ials, '1', { ...IALS, candidates: 'generated' });
    const registry = new ModelRegistry(folder, clock);
    const { files, itemIds, userIds } = await readVersionFiles(folder, await registry.describe('home'));
    const more = { ...manifest.candidates!, people: manifest.candidates!.people + 1 };
    await clock.advance(1_000);
    await node.announce(await registry.publish('home', { files, itemIds, userIds }, { ...manifest, candidates: more }));
    expect(node.published.list()[0]).toMatchObject({ version: null, refused: { code: 'MODEL_INVALID' } });
  });

  it('are not asked by feeds unless told so or they keep states of people', async () => {
    const published = await publish(ials, '1', IALS);
    const [plain, pushing] = [new Node(), new Node({ models: [{ name: 'home', push: true }] })];
    for (const node of [plain, pushing]) await node.announce(published);
    expect(plain.ask({ recentItems: TASTE_1 }, 'push')).toMatchObject({ items: [], models: {} });
    expect(pushing.ask({ recentItems: TASTE_1 }, 'push').models).toHaveProperty('model/home');
  });

  it('are swapped for the version announced last, whichever it is', async () => {
    const node = new Node();
    const first = await publish(popularity, '1', {}, trainingSetOf([[0, 0, 1]], 40));
    const second = await publish(popularity, '2', {}, trainingSetOf([[2, 2, 1]], 40));
    const best = (): string | undefined => node.ask({}).items[0]?.itemId;
    await node.announce(first);
    expect(best()).toBe('item-0');
    await node.announce(second);
    expect(best()).toBe('item-2');
    await node.announce(first);
    expect(best()).toBe('item-0');
    node.published.apply({ key: 'home', value: Buffer.alloc(0) } as unknown as LogRecord);
    expect(best()).toBeUndefined();
  });

  it('are refused when a file, the signature or the announcement was changed, and the one in use stays', async () => {
    const node = new Node();
    const first = await publish(popularity, '1', {}, trainingSetOf([[0, 0, 1]], 40));
    await node.announce(first);
    const second = await publish(popularity, '2', {}, trainingSetOf([[2, 2, 1]], 40));
    await node.announce({ ...second, signature: first.signature });
    await node.announce({ ...second, checksum: first.checksum });
    const path = join(folder, 'home', 'versions', second.manifest.version, 'scores.f32');
    const bytes = readFileSync(path);
    bytes[3]! ^= 1;
    writeFileSync(path, bytes);
    await node.announce(second);
    const [status] = node.published.list();
    expect(status).toMatchObject({ version: first.manifest.version, refused: { code: 'MODEL_INVALID' } });
    expect(node.ask({}).items[0]!.itemId).toBe('item-0');
    expect(await node.metrics.render()).toMatch(/models_refused_total\{[^}]*\} 3/);
  });

  it('are refused when they answer with what is not a number', async () => {
    const node = new Node();
    const set = trainingSetOf([[0, 0, 1]], 40);
    const model = await popularity.fit(set, { halfLifeDays: 0 }, fitContext());
    const files = { ...model.save(), 'scores.f32': new Uint8Array(new Float32Array(40).fill(Infinity).buffer) };
    const draft = (await publish(popularity, '1', {}, set)).manifest;
    await node.announce(await new ModelRegistry(folder, clock).publish('home', { files, ...set }, draft));
    expect(node.published.list()[0]).toMatchObject({ version: null, refused: { code: 'MODEL_INVALID' } });
  });

  it('only concern the configured names, where there are some', async () => {
    const node = new Node({ models: [{ name: 'other' }] });
    await node.announce(await publish(popularity, '1'));
    expect(node.published.list()).toEqual([]);
  });

  it('rank the candidates of full requests again when one is the scorer', async () => {
    const set = trainingSetOf([[7, 7, 7, 7, 6, 6, 6, 5, 5, 4]], 40);
    const node = new Node({ modelScorer: 'home', modelScorerWeight: 1 });
    await node.announce(await publish(popularity, '1', {}, set));
    expect(
      node
        .ask({})
        .items.map(({ itemId }) => itemId)
        .slice(0, 3),
    ).toEqual(['item-7', 'item-6', 'item-5']);
  });
});
