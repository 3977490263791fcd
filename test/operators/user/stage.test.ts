/** Stage 1 as the runtime runs it: encoded records in, outputs and stored state out. */
import { describe, expect, it } from 'vitest';

import { ItemVectorTable } from '../../../operators/item-vectors.js';
import { describeUser, readUser } from '../../../operators/user/read-user.js';
import { createUserEventsCodec, type UserEvent } from '../../../operators/user/user-events.js';
import {
  createUserOperators,
  DEFAULT_USER_STAGE,
  listUserOperators,
  userStageOutputs,
} from '../../../operators/user/user-operators.js';
import { decodeRecord, encodeRecord } from '../../../schemas/codec.js';
import type { AnyRecord, RecordKind } from '../../../schemas/records.js';
import { readCell } from '../../../streams/runtime/row-bytes.js';
import type { StageDeclaration } from '../../../streams/runtime/topology.js';
import { TestDriver } from '../../../streams/testing/test-driver.js';
import { DAY, erase, identify, impression, interaction, MINUTE, T0, upsert } from './records.js';

const vectors = new ItemVectorTable({ space: 'space-1', dimensions: 64 });
for (let i = 0; i < 20; i++)
  vectors.upsert(
    `item-${i}`,
    1,
    Float32Array.from({ length: 64 }, (_, k) => Math.sin(i + k) / 8),
  );
const catalogue = new Map([['item-1', { categories: ['shoes'], brand: 'acme', tags: ['red'] }]]);
const operators = createUserOperators(DEFAULT_USER_STAGE, { namespace: 'test', catalogue, itemVectors: () => vectors });

const stage: StageDeclaration<UserEvent> = {
  name: 'users',
  input: 'test.user-events',
  codec: createUserEventsCodec(),
  operators: listUserOperators(operators),
  outputs: userStageOutputs('test'),
  clockToleranceMs: MINUTE,
  allowedLatenessMs: Infinity,
  latePolicy: 'process',
  faultPolicy: 'fail',
  deadLetters: undefined,
};

function encoded(record: UserEvent): { key: string; value: Buffer } {
  const key = record.kind === 'Identify' ? record.anonymousId : (record as { userId: string }).userId;
  return { key, value: encodeRecord(record.kind as RecordKind, record as never) };
}

async function run(records: readonly UserEvent[]): Promise<TestDriver<UserEvent>> {
  const driver = await TestDriver.create(stage);
  await driver.pipe(...records.map(encoded));
  return driver;
}

const decodedOutputs = (driver: TestDriver<UserEvent>, topic: string): AnyRecord[] =>
  driver.outputs(`test.${topic}`).map((record) => decodeRecord(record.value));

describe('stage 1', () => {
  it('turns a visit into signals, a session, a reward and a readable state', async () => {
    const driver = await run([
      upsert('u', T0, { segments: ['vip'], consent: { personalization: true, analytics: true } }),
      impression('u', T0 + 1, 'viewed', { items: ['item-1', 'item-2'] }),
      interaction('u', T0 + 2, 'item-1', { type: 'like', context: { device: 'phone', country: 'BR' } }),
      interaction('u', T0 + 3, 'item-3', { type: 'view' }),
    ]);
    await driver.advanceTime(T0 + DAY);
    const signals = decodedOutputs(driver, 'item-events');
    expect(signals.map(({ kind }) => kind)).toEqual([
      'ItemExposure',
      'ItemExposure',
      'ItemInteraction',
      'ItemInteraction',
      'ItemPair',
    ]);
    expect(signals[2]).toMatchObject({
      itemId: 'item-1',
      weight: 3,
      space: 'space-1',
      segments: ['device/phone', 'country/BR', 'vip'],
    });
    expect(signals[4]).toMatchObject({ itemId: 'item-1', otherItemId: 'item-3', weight: 1, following: true });
    expect(decodedOutputs(driver, 'sessions')).toMatchObject([{ userId: 'u', interactions: 2, revision: 0 }]);
    expect(decodedOutputs(driver, 'rewards')).toMatchObject([
      { requestId: 'request-1', outcomes: [{ itemId: 'item-1', reward: 0.6, feedback: ['like'] }, { reward: 0 }] },
    ]);
    const row = (await driver.store.get(driver.task.id, 'u'))!;
    const user = readUser('u', 3, (operator) => readCell(operator as never, row));
    expect(describeUser(user, { time: T0 + 4, gapMs: 1, affinityHalfLifeMs: 7 * DAY })).toMatchObject({
      segments: ['device/phone', 'country/BR', 'vip'],
      affinities: { categories: [{ name: 'shoes' }], brands: [{ name: 'acme' }], tags: [{ name: 'red' }] },
      embedding: { space: 'space-1', updates: 2 },
      counts: { like: 1, view: 1 },
    });
  });

  it('stores a person of six views and a vector of 64 numbers in at most 600 bytes', async () => {
    const driver = await run(
      Array.from({ length: 6 }, (_, i) => interaction('u', T0 + i * MINUTE, `item-${i}`, { type: 'view' })),
    );
    const row = (await driver.store.get(driver.task.id, 'u'))!;
    expect(row.length).toBeLessThanOrEqual(600);
  });

  it('folds everything into the known person, forwarded records included, and says where the old id went', async () => {
    const driver = await run([
      interaction('anon', T0, 'item-1'),
      identify('anon', 'u', T0 + 1),
      interaction('anon', T0 + 2, 'item-2'),
    ]);
    const profile = await driver.state(operators.profile, 'u');
    expect(profile!.recentItems.all()).toEqual(['item-1', 'item-2']);
    const row = (await driver.store.get(driver.task.id, 'anon'))!;
    expect(readUser('anon', 0, (operator) => readCell(operator as never, row)).movedTo).toBe('u');
    const pair = decodedOutputs(driver, 'item-events').find(({ kind }) => kind === 'ItemPair');
    expect(pair).toMatchObject({ itemId: 'item-1', otherItemId: 'item-2' });
  });

  it('sends a forwarded record on unchanged', () => {
    const original = interaction('anon', T0, 'item-1', { anonymousId: 'x', value: 3, context: { device: 'tv' } });
    const { value } = encoded(original);
    const forwarded = encodeRecord('Forwarded', { userId: 'u', path: ['anon'], ts: T0, receivedAt: T0, value });
    const inner = createUserEventsCodec().decode(forwarded);
    expect(inner.forwardedPath).toEqual(['anon']);
    expect(encodeRecord('Interaction', inner as never)).toEqual(value);
  });

  it('refuses records that have no business in user-events', () => {
    const codec = createUserEventsCodec();
    const item = encodeRecord('ItemDelete', { eventId: 'e', itemId: 'i', ts: T0, receivedAt: T0, producerId: 'p' });
    const wrapped = encodeRecord('Forwarded', { userId: 'u', path: [], ts: T0, receivedAt: T0, value: item });
    expect(() => codec.decode(item)).toThrow(/does not belong/);
    expect(() => codec.decode(wrapped)).toThrow(/never forwarded/);
    const tick = codec.decode(Buffer.from(codec.encodeRuntimeRecord({ type: 'tick', time: T0, owner: 'o' })));
    expect(codec.runtimeRecord(tick)).toEqual({ type: 'tick', time: T0, owner: 'o' });
    const owner = codec.decode(Buffer.from(codec.encodeRuntimeRecord({ type: 'owner', owner: 'o' })));
    expect(codec.runtimeRecord(owner)).toEqual({ type: 'owner', owner: 'o' });
  });

  it('removes an idle person whole', async () => {
    const driver = await run([interaction('u', T0), impression('u', T0 + 1, 'viewed')]);
    await driver.advanceTime(T0 + 90 * DAY);
    expect(await driver.store.get(driver.task.id, 'u')).toBeDefined();
    await driver.advanceTime(T0 + 91 * DAY);
    expect(await driver.store.get(driver.task.id, 'u')).toBeUndefined();
  });

  it('removes an erased person whole', async () => {
    const driver = await run([interaction('u', T0), impression('u', T0 + 1, 'viewed'), erase('u', T0 + 2)]);
    expect(await driver.store.get(driver.task.id, 'u')).toBeUndefined();
    await driver.advanceTime(T0 + DAY);
    expect(decodedOutputs(driver, 'sessions')).toEqual([]);
    expect(decodedOutputs(driver, 'rewards')).toEqual([]);
  });
});
