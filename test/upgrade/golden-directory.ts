/**
 * Golden data directories: what a released version left on disk, kept so that later ones can be held to it.
 *
 * One folder a version under `golden/`: the directory's files, compressed, and `expected.json` with what is in them in
 * words that no format changes. They are never written again; a release adds its own.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import { freshetConfig } from '../../jobs/config.js';
import { Engine } from '../../jobs/engine/engine.js';
import { encodeEvent } from '../../serving/http/event-json.js';
import { encodeListedItem } from '../../serving/http/item-json.js';
import { systemClock } from '../../streams/clock.js';
import { silentLogger } from '../../streams/logger.js';
import { StateQuery } from '../../streams/queries/state-query.js';
import { seededRandom } from '../../streams/random.js';

export const GOLDEN = join(import.meta.dirname, 'golden');
const EXPECTED = 'expected.json';
const PACKED = '.br';
/** Held by a process, not by the data. */
const LOCKS = /lock/;

export interface Expected {
  /** Records of each topic. */
  readonly records: Readonly<Record<string, number>>;
  /** Interactions in the profile of each person. */
  readonly interactions: Readonly<Record<string, number>>;
}

export const goldenVersions = (): string[] => readdirSync(GOLDEN).sort();

export function expectedOf(version: string): Expected {
  return JSON.parse(readFileSync(join(GOLDEN, version, EXPECTED), 'utf8')) as Expected;
}

/** A copy of a golden directory that a test may change. */
export function unpack(version: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-golden-'));
  for (const name of readdirSync(join(GOLDEN, version))) {
    if (!name.endsWith(PACKED)) continue;
    const bytes = brotliDecompressSync(readFileSync(join(GOLDEN, version, name)));
    writeFileSync(join(directory, name.slice(0, -PACKED.length)), bytes);
  }
  return directory;
}

export function openGolden(directory: string): Promise<Engine> {
  const config = freshetConfig.load({ overrides: ['streams.partitions=2'], environment: {} });
  return Engine.open({ config, directory, clock: systemClock, random: seededRandom('golden'), logger: silentLogger });
}

/** Some hundred records of every kind, the same in every version. */
export async function fill(engine: Engine): Promise<void> {
  const { log } = engine.storage;
  const random = seededRandom('golden records');
  const startMs = Date.UTC(2024, 0, 1);
  let n = 0;
  const stamp = (receivedAt: number) => {
    const newEventId = (): string => `golden-${n++}`;
    return { receivedAt, producerId: 'golden', futureToleranceMs: 0, newEventId };
  };
  const items = Array.from({ length: 20 }, (_, i) => ({
    itemId: `item-${i}`,
    title: `Title ${i}`,
    categories: [`category-${i % 4}`],
  }));
  await log.append(
    engine.topic('itemEvents'),
    items.map((item) => encodeListedItem(item, '', stamp(startMs))),
  );
  for (let i = 0; i < 300; i++) {
    const at = startMs + i * 20_000;
    const userId = `user-${random.int(12)}`;
    const itemId = `item-${random.int(20)}`;
    const event = eventOf(i, userId, itemId, at);
    await log.append(engine.topic('userEvents'), [encodeEvent(event, '', stamp(at))]);
  }
}

function eventOf(i: number, userId: string, itemId: string, ts: number): object {
  const common = { userId, ts };
  const requestId = `request-${Math.floor(i / 10)}`;
  switch (i % 10) {
    case 0:
      return {
        ...common,
        type: 'impression.served',
        requestId,
        slate: [{ itemId, propensity: 0.5, source: 'popular' }],
      };
    case 1:
      return { ...common, type: 'impression.viewed', requestId, slate: [{ itemId }] };
    case 2:
      return { ...common, type: 'user', segments: ['plan/premium'], traits: { city: 'Delft' } };
    case 3:
      return i % 50 === 3
        ? { ...common, type: 'identify', anonymousId: `visitor-${i}` }
        : { ...common, type: 'purchase', itemId, value: 9.5, currency: 'EUR', quantity: 1 };
    case 4:
      return i % 100 === 4 ? { ...common, type: 'erase', reason: 'asked for' } : { ...common, type: 'like', itemId };
    case 5:
      return { ...common, type: 'rate', itemId, value: 1 + (i % 5) };
    default:
      return { ...common, type: 'click', itemId, context: { device: 'phone', country: 'NL' } };
  }
}

/** For a release: writes `golden/<version>` with this build. Refuses to write over one that is there. */
export async function writeGolden(version: string): Promise<void> {
  const target = join(GOLDEN, version);
  mkdirSync(target);
  const directory = mkdtempSync(join(tmpdir(), 'freshet-golden-'));
  const engine = await openGolden(directory);
  await fill(engine);
  await engine.start();
  await engine.drain();
  const expected: Expected = { records: await recordsOf(engine), interactions: await interactionsOf(engine) };
  await engine.close();
  for (const name of readdirSync(directory)) {
    if (LOCKS.test(name) || !statSync(join(directory, name)).isFile()) continue;
    writeFileSync(join(target, `${name}${PACKED}`), brotliCompressSync(readFileSync(join(directory, name))));
  }
  writeFileSync(join(target, EXPECTED), `${JSON.stringify(expected, undefined, 2)}\n`);
  rmSync(directory, { recursive: true, force: true });
}

export async function recordsOf(engine: Engine): Promise<Record<string, number>> {
  const { log } = engine.storage;
  const records: Record<string, number> = {};
  for (const { name, partitions, class: of } of log.topics()) {
    if (of !== 'event') continue;
    records[name] = 0;
    for (let partition = 0; partition < partitions; partition++)
      records[name] += (await log.bounds(name, partition)).end;
  }
  return records;
}

export async function interactionsOf(engine: Engine): Promise<Record<string, number>> {
  const { engineTopology, storage } = engine;
  const query = new StateQuery(engineTopology.topology, storage.log, storage.store);
  const interactions: Record<string, number> = {};
  for await (const { key, operators } of query.range(engineTopology.users.name)) {
    const profile = operators['profile'] as { readonly counts: readonly number[] } | undefined;
    if (profile !== undefined) interactions[key] = profile.counts.reduce((sum, count) => sum + count, 0);
  }
  return interactions;
}
