/** What kafkajs's own consumer and producer get wrong, and this adapter must not: each against a real broker. */
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { isEngineError } from '../../../schemas/errors.js';
import { systemClock } from '../../../streams/clock.js';
import type { KafkaLog, KafkaLogOptions } from '../../../streams/kafka/index.js';
import { openKafkaLog } from '../../../streams/kafka/index.js';
import type { LogRecord } from '../../../streams/log/event-log.js';
import { createMetrics } from '../../../streams/metrics.js';
import { seededRandom } from '../../../streams/random.js';
import { describeWithKafka } from '../../harness/servers/needs.js';
import { TcpProxy } from '../../harness/servers/tcp-proxy.js';
import { broker, kafkaLogOptions, startBroker, stopBroker } from './kafka-harness.js';

const ALL = { recordsMax: 100_000, bytesMax: 2 ** 30 };
const QUICK = { connectTimeoutMs: 1_000, requestTimeoutMs: 1_000 };

describeWithKafka('a Kafka log', () => {
  let proxy: TcpProxy;
  let admin: Admin;
  let options: KafkaLogOptions;
  const opened: KafkaLog[] = [];

  beforeAll(async () => {
    proxy = await TcpProxy.open();
    await startBroker({ proxyPort: proxy.port });
    proxy.setPort(broker().proxiedPorts[0]!);
    const kafka = new Kafka({ brokers: [...broker().brokers], logLevel: logLevel.NOTHING });
    admin = kafka.admin();
    await admin.connect();
  });
  afterAll(async () => {
    await admin?.disconnect();
    await stopBroker();
    await proxy?.close();
  });
  beforeEach(() => {
    options = kafkaLogOptions();
  });
  afterEach(async () => {
    proxy.heal();
    await Promise.all(opened.splice(0).map((log) => log.close()));
  });

  const open = async (overrides: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> => {
    const log = await openKafkaLog({ ...options, ...overrides });
    opened.push(log);
    return log;
  };
  const openEvents = async (overrides: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> => {
    const log = await open(overrides);
    await log.createTopics([{ name: 'events', partitions: 2, class: 'event' }]);
    return log;
  };
  const append = (log: KafkaLog, ...values: (string | number)[]): Promise<unknown> =>
    log.append(
      'events',
      values.map((value) => ({ key: 'k', value: Buffer.from(String(value)), partition: 0 })),
    );
  const readAll = async (log: KafkaLog, topic: string, partition = 0): Promise<LogRecord[]> => {
    const records: LogRecord[] = [];
    for (let from = 0; ;) {
      const batch = await log.read(topic, partition, from, ALL);
      if (batch.nextOffset === from) return records;
      records.push(...batch.records);
      from = batch.nextOffset;
    }
  };
  const values = async (log: KafkaLog): Promise<number[]> =>
    (await readAll(log, 'events')).map(({ value }) => Number(value));

  it('reads where it is told to, whatever offset Kafka keeps for the group', async () => {
    const log = await openEvents();
    await append(log, 0, 1, 2, 3);
    const topic = `${options.prefix}events`;
    await admin.setOffsets({ groupId: `${options.prefix}group`, topic, partitions: [{ partition: 0, offset: '3' }] });
    const membership = await log.join('group', 'events', () => Promise.resolve());
    expect(await values(log)).toEqual([0, 1, 2, 3]);
    membership.report!(0, 2);
    const kept = async (): Promise<unknown> => {
      const [offsets] = await admin.fetchOffsets({ groupId: `${options.prefix}group`, topics: [topic] });
      return offsets!.partitions.find(({ partition }) => partition === 0)!.offset;
    };
    await expect.poll(kept, { timeout: 10_000 }).toBe('2');
    await membership.leave();
  });

  it('says that an offset is gone, with the bounds, and does not jump', async () => {
    const log = await openEvents();
    await append(log, 0, 1, 2, 3);
    const topic = `${options.prefix}events`;
    // kafkajs finds the leader only of topics it was asked about before.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] });
    const context = { offset: 1, start: 2, end: 4 };
    await expect(log.read('events', 0, 1, ALL)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE', context });
    expect((await log.read('events', 0, 2, ALL)).records.map(({ offset }) => offset)).toEqual([2, 3]);
  });

  it('appends once and in order while answers are lost and connections cut', async () => {
    const metrics = createMetrics({ namespace: 'test' });
    const log = await openEvents({ brokers: [proxy.address], metrics, tuning: { ...QUICK, batchRecordsMax: 7 } });
    const random = seededRandom('lost answers');
    const appends: Promise<unknown>[] = [];
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 20; i++) {
        appends.push(append(log, round * 20 + i));
        if (random.int(4) === 0) await systemClock.nextTurn();
      }
      const lost = proxy.loseAnswers();
      appends.push(append(log, 1_000 + round));
      await lost;
      proxy.cut();
      proxy.heal();
    }
    await Promise.all(appends);
    const seen = await values(log);
    const expected = Array.from({ length: 12 }, (_, round) => [
      ...Array.from({ length: 20 }, (__, i) => round * 20 + i),
      1_000 + round,
    ]).flat();
    expect(seen).toEqual(expected);
    expect(metrics.samples().find(({ name }) => name.endsWith('log_send_retries_total'))!.value).toBeGreaterThan(0);
  });

  it('gives up an append in doubt without harm to the ones that follow', async () => {
    const log = await openEvents({ brokers: [proxy.address], tuning: { ...QUICK, deliveryMs: 500 } });
    await append(log, 0);
    void proxy.loseAnswers();
    const doubtful = append(log, 1);
    await expect(doubtful).rejects.toSatisfy((error) => isEngineError(error, 'LOG_UNAVAILABLE'));
    proxy.cut();
    proxy.heal();
    for (const value of [2, 3, 4]) await append(log, value);
    const seen = await values(log);
    // The one in doubt may be there, once; the others are, once and in order.
    expect(seen.filter((value) => value !== 1)).toEqual([0, 2, 3, 4]);
    expect(seen.filter((value) => value === 1).length).toBeLessThanOrEqual(1);
  });

  it('refuses more appends than may wait, and goes on when they are through', async () => {
    const log = await openEvents({ tuning: { waitingBytesMax: 100 } });
    const waiting = append(log, 'x'.repeat(200));
    await expect(append(log, 'y')).rejects.toSatisfy((error) => isEngineError(error, 'OVERLOADED'));
    await waiting;
    await append(log, 'z');
    expect(log.unacknowledgedBytes).toBe(0);
  });

  it('sends the appends of a turn together, in batches that one partition takes as a whole', async () => {
    const metrics = createMetrics({ namespace: 'test' });
    const log = await openEvents({ metrics });
    const sends = (): number => metrics.samples().find(({ name }) => name.endsWith('log_send_records'))!.value;
    const before = sends();
    await Promise.all(Array.from({ length: 500 }, (_, i) => append(log, i)));
    expect(sends() - before).toBe(1);
    expect((await values(log)).length).toBe(500);
  });

  it('cuts appends that are larger than a batch may be', async () => {
    const log = await openEvents({ tuning: { batchBytesMax: 10_000 } });
    const large = Array.from({ length: 300 }, (_, i) => `${i}`.padStart(200, '0'));
    await append(log, ...large);
    expect(await values(log)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    await expect(append(log, 'x'.repeat(2 ** 21))).rejects.toSatisfy((error) => isEngineError(error, 'LOG_REFUSED'));
    await append(log, 300);
    expect((await values(log)).at(-1)).toBe(300);
  });

  it('refuses existing topics that differ, and takes foreign ones as they are', async () => {
    const name = `${options.prefix}foreign`;
    const configEntries = [{ name: 'retention.ms', value: '86400000' }];
    await admin.createTopics({ topics: [{ topic: name, numPartitions: 3, configEntries }] });
    const log = await open();
    const refused = async (partitions: number, retentionMs: number | undefined): Promise<string> => {
      const create = log.createTopics([{ name: 'foreign', partitions, class: 'event', retentionMs }]);
      const error: unknown = await create.catch((thrown: unknown) => thrown);
      expect(isEngineError(error, 'TOPIC_MISMATCH')).toBe(true);
      return (error as Error).message;
    };
    expect(await refused(4, 86_400_000)).toContain('3 partitions, not 4');
    expect(await refused(3, undefined)).toContain('retention.ms is 86400000, not -1');
    expect(() => log.topic('foreign')).toThrow();
    await log.adoptTopics(['foreign']);
    expect(log.topic('foreign')).toEqual({ name: 'foreign', partitions: 3, class: 'event', retentionMs: 86_400_000 });
    await log.append('foreign', [{ key: 'a', value: Buffer.from('1') }]);
    await expect(log.adoptTopics(['absent'])).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
  });

  it('says so when nobody answers', async () => {
    const nobody = await TcpProxy.open();
    const brokers = [nobody.address];
    await nobody.close();
    await expect(openKafkaLog({ ...options, brokers, tuning: QUICK })).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
      retriable: true,
    });
  });

  it('has one identity, also when several make it at the same time', async () => {
    const logs = await Promise.all([1, 2, 3].map((n) => open({ random: seededRandom(`process ${n}`) })));
    expect(new Set(logs.map(({ identity }) => identity)).size).toBe(1);
    const other = await open({ prefix: `${options.prefix}other.` });
    expect(other.identity).not.toBe(logs[0]!.identity);
  });

  it('wakes a reader in another process, which finds the records there', async () => {
    const [writer, reader] = [await openEvents(), await openEvents()];
    expect((await reader.read('events', 0, 0, ALL)).records).toEqual([]);
    const seen: number[] = [];
    let from = 0;
    const caughtUp = new Promise<void>((resolve) => {
      const look = async (): Promise<void> => {
        const batch = await reader.read('events', 0, from, ALL);
        from = batch.nextOffset;
        seen.push(...batch.records.map(({ value }) => Number(value)));
        if (seen.length >= 20) resolve();
        else if (batch.records.length > 0) await look();
      };
      reader.onAppend('events', () => void look());
      void look();
    });
    for (let i = 0; i < 20; i++) await append(writer, i);
    await caughtUp;
    expect([...new Set(seen)]).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });
});
