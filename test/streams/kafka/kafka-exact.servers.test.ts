/** Exact topics, compaction and other clients' view of what is written: on a real broker. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { partitionFor } from '../../../schemas/ids.js';
import type { KafkaLog, KafkaLogOptions } from '../../../streams/kafka/index.js';
import { openKafkaLog } from '../../../streams/kafka/index.js';
import type { LogRecord, OutgoingRecord } from '../../../streams/log/event-log.js';
import { installKafka } from '../../harness/servers/kafka.js';
import { describeWithKafka } from '../../harness/servers/needs.js';
import { TcpProxy } from '../../harness/servers/tcp-proxy.js';
import { broker, kafkaLogOptions, startBroker, stopBroker } from './kafka-harness.js';

const ALL = { recordsMax: 100_000, bytesMax: 2 ** 30 };
const SOURCE = '1/default.user-events/3';
const run = promisify(execFile);

const output = (offset: number, index = 0, operator = 'session'): OutgoingRecord => ({
  key: `u${offset % 5}`,
  value: Buffer.from(`${operator} ${offset}.${index}`),
  origin: { source: SOURCE, operator, offset, index },
});
const outputs = (from: number, to: number): OutgoingRecord[] =>
  Array.from({ length: to - from }, (_, i) => output(from + i));

describeWithKafka('on a real broker', () => {
  let proxy: TcpProxy;
  let admin: Admin;
  let options: KafkaLogOptions;
  const opened: KafkaLog[] = [];

  beforeAll(async () => {
    proxy = await TcpProxy.open();
    const cleaner = { 'log.cleaner.backoff.ms': '100', 'log.cleaner.min.cleanable.ratio': '0.001' };
    await startBroker({ proxyPort: proxy.port, properties: cleaner });
    proxy.setPort(broker().proxiedPorts[0]!);
    admin = new Kafka({ brokers: [...broker().brokers], logLevel: logLevel.NOTHING }).admin();
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
    await log.createTopics([{ name: 'exact', partitions: 2, class: 'event', exact: true }]);
    return log;
  };
  const readAll = async (log: KafkaLog, topic: string): Promise<LogRecord[]> => {
    const records: LogRecord[] = [];
    for (let partition = 0; partition < log.topic(topic).partitions; partition++) {
      for (let from = 0; ;) {
        const batch = await log.read(topic, partition, from, ALL);
        if (batch.nextOffset === from) break;
        records.push(...batch.records);
        from = batch.nextOffset;
      }
    }
    return records;
  };
  // Kafka answers the end of a transaction before it has marked it in the partitions: readers see it a moment later.
  const READABLE = { timeout: 10_000 };
  const ids = async (log: KafkaLog): Promise<string[]> =>
    (await readAll(log, 'exact')).map(({ value }) => value.toString()).sort();
  const idsOf = (records: readonly OutgoingRecord[]): string[] =>
    records.map(({ value }) => Buffer.from(value).toString()).sort();

  it('an exact topic has each output once, though a new owner sends some again', async () => {
    const [old, young] = [await open(), await open()];
    await old.append('exact', outputs(0, 10));
    await old.append('exact', [output(10), output(10, 1), output(10, 0, 'reward')]);
    const receipts = await young.append('exact', [...outputs(5, 11), output(10, 1), output(10, 2)]);
    expect(receipts.slice(0, 7).every(({ offset }) => offset === -1)).toBe(true);
    expect(receipts[7]!.offset).toBeGreaterThanOrEqual(0);
    const once = idsOf([...outputs(0, 11), output(10, 1), output(10, 2), output(10, 0, 'reward')]);
    await expect.poll(() => ids(young), READABLE).toEqual(once);
  });

  it('an exact topic has one sender a source: the older one is told', async () => {
    const [old, young] = [await open(), await open()];
    await old.append('exact', outputs(0, 3));
    await young.append('exact', outputs(3, 5));
    await expect(old.append('exact', outputs(5, 7))).rejects.toMatchObject({ code: 'TASK_FENCED' });
    await young.append('exact', outputs(5, 7));
    await expect.poll(() => ids(young), READABLE).toEqual(idsOf(outputs(0, 7)));
  });

  it('who gets a source back goes on, if it ended it when it lost it', async () => {
    const [one, other] = [await open(), await open()];
    await one.append('exact', outputs(0, 3));
    one.endSource(outputs(0, 1)[0]!.origin!.source);
    await other.append('exact', outputs(3, 5));
    other.endSource(outputs(0, 1)[0]!.origin!.source);
    await one.append('exact', outputs(4, 7));
    await expect.poll(() => ids(one), READABLE).toEqual(idsOf(outputs(0, 7)));
  });

  it('an exact topic has each output once though answers are lost', async () => {
    const tuning = { connectTimeoutMs: 1_000, requestTimeoutMs: 1_000 };
    const log = await open({ brokers: [proxy.address], tuning });
    for (let round = 0; round < 8; round++) {
      const lost = proxy.loseAnswers();
      const sent = log.append('exact', outputs(round * 10, round * 10 + 10));
      await lost;
      // Cut between different steps of the transaction.
      proxy.heal();
      proxy.cut();
      await sent;
    }
    const direct = await open();
    await expect.poll(() => ids(direct), READABLE).toEqual(idsOf(outputs(0, 80)));
  });

  it('a table is compacted to the last value of each key, and readers pass over the gaps', async () => {
    const log = await open();
    await log.createTopics([{ name: 'table', partitions: 1, class: 'table' }]);
    const configEntries = ['segment.ms', 'delete.retention.ms', 'min.compaction.lag.ms'].map((name) => ({
      name,
      value: name === 'segment.ms' ? '100' : '0',
    }));
    configEntries.push({ name: 'cleanup.policy', value: 'compact' });
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: 2, name: `${options.prefix}table`, configEntries }],
    });
    const put = (key: string, value: string): Promise<unknown> =>
      log.append('table', [{ key, value: Buffer.from(value), partition: 0 }]);
    for (let i = 0; i < 20; i++) await put('a', `${i}`);
    await put('b', 'gone');
    await put('b', '');
    const compacted = async (): Promise<string[]> => {
      // A new segment makes the ones before it fit for cleaning.
      await put('tick', 't');
      const fresh = await openKafkaLog(options);
      try {
        return (await readAll(fresh, 'table'))
          .filter(({ key }) => key !== 'tick')
          .map(({ key, value }) => key + value.toString());
      } finally {
        await fresh.close();
      }
    };
    await expect.poll(compacted, { timeout: 40_000, interval: 500 }).toEqual(['a19']);
  });

  it.each(['none', 'gzip', 'snappy'] as const)(
    'Java places keys as we do and reads what we write, and we what Java writes (%s)',
    async (compression) => {
      const log = await open({ tuning: { compression } });
      await log.createTopics([{ name: 'shared', partitions: 5, class: 'event' }]);
      const keys = Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? `ключ-${i}` : `user-${i}`));
      const topic = `${options.prefix}shared`;
      const address = ['--bootstrap-server', broker().brokers[0]!, '--topic', topic];
      const java = async (tool: string, args: readonly string[], input = ''): Promise<string> => {
        const all = ['-Dfile.encoding=UTF-8', '-cp', `${await installKafka()}/*`, tool, ...address, ...args];
        const running = run('java', all, { maxBuffer: 2 ** 24 });
        running.child.stdin!.end(input);
        return (await running).stdout;
      };
      const properties = ['parse.key=true', 'key.separator=='].flatMap((property) => ['--property', property]);
      const lines = keys.map((key) => `${key}=from java\n`).join('');
      const codec = ['--compression-codec', compression];
      await java('org.apache.kafka.tools.ConsoleProducer', [...properties, ...codec], lines);
      const own = keys.map((key) => ({ key, value: Buffer.from('from node'), origin: output(7).origin }));
      await log.append('shared', own);
      for (let partition = 0; partition < 5; partition++) {
        const { records } = await log.read('shared', partition, 0, ALL);
        for (const record of records) expect(partitionFor(record.key, 5)).toBe(partition);
      }
      expect((await readAll(log, 'shared')).filter(({ value }) => value.toString() === 'from java').length).toBe(40);
      const printed = await java('org.apache.kafka.tools.consumer.ConsoleConsumer', [
        ...['--from-beginning', '--max-messages', '80', '--property', 'print.key=true'],
      ]);
      const seen = printed.split('\n').filter((line) => line.endsWith('from node'));
      expect(seen.map((line) => line.split('\t')[0]).sort()).toEqual([...keys].sort());
    },
  );
});
