/** The engine's exact topics on a real Kafka: outside readers of sessions and rewards see each once, whatever crashes. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { operatorsSection } from '../../operators/config.js';
import { createEngineTopology, engineTopics } from '../../operators/engine-topology.js';
import { decodeRecord, encodeRecord } from '../../schemas/codec.js';
import type { RecordKind } from '../../schemas/records.js';
import { systemClock } from '../../streams/clock.js';
import type { KafkaLog, KafkaLogOptions } from '../../streams/kafka/index.js';
import { openKafkaLog } from '../../streams/kafka/index.js';
import { MemoryStore } from '../../streams/memory/memory-store.js';
import { seededRandom } from '../../streams/random.js';
import { ForwardingStore } from '../../streams/forwarding.js';
import { Task } from '../../streams/runtime/task.js';
import type { StateStore } from '../../streams/state/state-store.js';
import { describeWithKafka } from '../harness/servers/needs.js';
import { kafkaLogOptions, startBroker, stopBroker } from '../streams/kafka/kafka-harness.js';
import { DAY, impression, interaction, T0 } from './user/records.js';
import type { UserEvent } from '../../operators/user/user-events.js';

const USERS = 20;
const ALL = { recordsMax: 100_000, bytesMax: 2 ** 30 };
const EXACT = ['default.sessions', 'default.rewards'] as const;
const { users } = createEngineTopology({
  namespace: 'default',
  config: operatorsSection.schema.parse({}),
  catalogue: { get: () => undefined },
  itemVectors: () => undefined,
});

/** A process that dies when its outputs were sent and before the store heard of it. */
class DiesBeforeTrimming extends ForwardingStore {
  override trimOutbox(): Promise<void> {
    return Promise.reject(new Error('killed'));
  }
}

describeWithKafka('the engine on a real broker', () => {
  let options: KafkaLogOptions;
  const opened: KafkaLog[] = [];

  beforeAll(() => startBroker());
  afterAll(stopBroker);
  afterEach(() => Promise.all(opened.splice(0).map((log) => log.close())));

  async function openEngineLog(): Promise<KafkaLog> {
    const log = await openKafkaLog(options);
    opened.push(log);
    await log.createTopics(engineTopics('default', 1));
    return log;
  }

  async function openTask(log: KafkaLog, store: StateStore): Promise<Task> {
    const task = new Task(users, 0, { log, store, clock: systemClock, random: seededRandom(`task ${opened.length}`) });
    await task.open();
    return task;
  }

  it('sessions and rewards that are sent again after a crash are there once', async () => {
    options = kafkaLogOptions();
    const log = await openEngineLog();
    const store = new MemoryStore({ delivery: 'outbox' });
    const people = Array.from({ length: USERS }, (_, i) => `u${i}`);
    const later = (user: string): UserEvent => interaction(user, T0 + DAY, 'item-2');
    const records = [
      ...people.flatMap((user) => [impression(user, T0, 'viewed'), interaction(user, T0 + 1)]),
      ...people.map(later),
    ];
    await log.append(
      'default.user-events',
      records.map((record) => ({
        key: (record as { userId: string }).userId,
        value: encodeRecord(record.kind as RecordKind, record as never),
      })),
    );

    const dying = await openTask(log, new DiesBeforeTrimming(store));
    await expect(dying.step()).rejects.toThrow('killed');
    const successor = await openTask(await openEngineLog(), store);
    while ((await successor.step()) > 0);

    const reader = await openEngineLog();
    const usersIn = async (topic: string): Promise<string[]> => {
      const { start } = await reader.bounds(topic, 0);
      const { records: read } = await reader.read(topic, 0, start, ALL);
      return read.map(({ value }) => (decodeRecord(value) as { userId: string }).userId).sort();
    };
    for (const topic of EXACT) {
      await expect.poll(() => usersIn(topic), { timeout: 10_000 }).toEqual([...people].sort());
    }
  });
});
