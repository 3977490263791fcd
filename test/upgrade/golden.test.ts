/**
 * Upgrade: what earlier versions left on disk is read by this one, goes on under it, and replays to the same state.
 *
 * A release adds its directory: FRESHET_WRITE_GOLDEN=0.2.0 npm test -- test/upgrade
 */
import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../jobs/engine/engine.js';
import { StateQuery } from '../../streams/queries/state-query.js';
import { encodeEvent } from '../../serving/http/event-json.js';
import {
  expectedOf,
  goldenVersions,
  interactionsOf,
  openGolden,
  recordsOf,
  unpack,
  writeGolden,
} from './golden-directory.js';

const version = process.env['FRESHET_WRITE_GOLDEN'];
if (version !== undefined) await writeGolden(version);

const directories: string[] = [];

async function openCopy(of: string): Promise<Engine> {
  const directory = unpack(of);
  directories.push(directory);
  return openGolden(directory);
}

/** Decoded states of a stage's log-pure operators, by key and operator: what no change of bytes may change. */
async function statesOf(engine: Engine): Promise<Record<string, unknown>> {
  const { engineTopology, storage } = engine;
  const { users } = engineTopology;
  const pure = new Set(users.operators.filter(({ purity }) => purity === 'log-pure').map(({ name }) => name));
  const states: Record<string, unknown> = {};
  const query = new StateQuery(engineTopology.topology, storage.log, storage.store);
  for await (const { key, operators } of query.range(users.name)) {
    for (const [name, state] of Object.entries(operators)) if (pure.has(name)) states[`${key} ${name}`] = state;
  }
  return states;
}

describe.each(goldenVersions())('a data directory of version %s', (of) => {
  afterEach(() => {
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
  });

  it('is read: every record and every state is there', async () => {
    const engine = await openCopy(of);
    expect(await recordsOf(engine)).toEqual(expectedOf(of).records);
    expect(await interactionsOf(engine)).toEqual(expectedOf(of).interactions);
    await engine.close();
  });

  it('goes on: a new event counts on top of what was there', async () => {
    const engine = await openCopy(of);
    const event = { type: 'click', userId: 'user-3', itemId: 'item-1', ts: Date.UTC(2024, 0, 1, 3) };
    const stamp = { receivedAt: event.ts, producerId: 'later', futureToleranceMs: 0, newEventId: () => 'later-0' };
    await engine.start();
    await engine.storage.log.append(engine.topic('userEvents'), [encodeEvent(event, '', stamp)]);
    await engine.drain();
    const before = expectedOf(of).interactions;
    expect(await interactionsOf(engine)).toEqual({ ...before, 'user-3': (before['user-3'] ?? 0) + 1 });
    await engine.close();
  });

  it('replays: its log gives the state that it came with', async () => {
    const engine = await openCopy(of);
    const stored = await statesOf(engine);
    expect(Object.keys(stored).length).toBeGreaterThan(20);
    for (const task of await engine.storage.store.tasks()) await engine.storage.store.drop(task);
    await engine.start();
    await engine.drain();
    expect(await statesOf(engine)).toEqual(stored);
    await engine.close();
  });
});
