/**
 * Benchmark of the Kafka log alone: starts a broker, appends and reads, prints one line a figure and JSON at the end.
 *
 * Bundle with esbuild (packages external) and run: `node kafka-bench-main.mjs [records]`. Figures are records a second and
 * records per CPU-second of this process, the broker's CPU not counted; kafkajs's own producer does the same beside it.
 */
import { CompressionTypes, Kafka, logLevel, Partitioners } from 'kafkajs';
import { systemClock } from '../../../streams/clock.js';
import { openKafkaLog } from '../../../streams/kafka/index.js';
import type { OutgoingRecord } from '../../../streams/log/event-log.js';
import { silentLogger } from '../../../streams/logger.js';
import { createMetrics } from '../../../streams/metrics.js';
import { systemRandom } from '../../../streams/random.js';
import { startKafka } from '../../harness/servers/kafka.js';

const RECORDS = Number(process.argv[2] ?? 300_000);
const VALUE = Buffer.alloc(100, 7);
const PARTITIONS = 4;
const figures: Record<string, number> = {};

async function measure(name: string, records: number, work: () => Promise<void>): Promise<void> {
  const [started, cpu] = [systemClock.monotonic(), process.cpuUsage()];
  await work();
  const seconds = (systemClock.monotonic() - started) / 1_000;
  const used = process.cpuUsage(cpu);
  const cpuSeconds = (used.user + used.system) / 1e6;
  figures[name] = Math.round(records / cpuSeconds);
  process.stdout.write(
    `${name.padEnd(52)} ${Math.round(records / seconds)} records/s, ${figures[name]} per CPU-second\n`,
  );
}

const origin = { source: '1/default.user-events/0', operator: 'session', offset: 0, index: 0 };
const batchOf = (first: number, count: number, withOrigin: boolean): OutgoingRecord[] =>
  Array.from({ length: count }, (_, i) => {
    const record = { key: `user-${(first + i) % 10_000}`, value: VALUE };
    return withOrigin ? { ...record, origin: { ...origin, offset: first + i } } : record;
  });

const server = await startKafka({ heapMb: 1_024 });
const log = await openKafkaLog({
  brokers: server.brokers,
  clock: systemClock,
  random: systemRandom(),
  logger: silentLogger,
  metrics: createMetrics({ namespace: 'bench' }),
});
await log.createTopics(
  [1, 2, 3, 4].map((i) => ({ name: `bench-${i}`, partitions: PARTITIONS, class: 'event' }) as const),
);

const appendAll = async (topic: string, size: number, total: number, withOrigin = false): Promise<void> => {
  for (let at = 0; at < total; at += size) await log.append(topic, batchOf(at, size, withOrigin));
};
await appendAll('bench-1', 1_000, RECORDS / 10);
for (const size of [250, 1_000, 5_000]) {
  await measure(`append, ${size} a call`, RECORDS, () => appendAll('bench-1', size, RECORDS));
}
await measure('append, 1000 a call, with origins', RECORDS, () => appendAll('bench-2', 1_000, RECORDS, true));

const producer = new Kafka({ brokers: [...server.brokers], logLevel: logLevel.NOTHING }).producer({
  idempotent: true,
  maxInFlightRequests: 1,
  createPartitioner: Partitioners.DefaultPartitioner,
});
await producer.connect();
for (const size of [250, 1_000, 5_000]) {
  await measure(`kafkajs's producer, ${size} a call`, RECORDS, async () => {
    for (let at = 0; at < RECORDS; at += size) {
      const messages = batchOf(at, size, false).map(({ key, value }) => ({ key, value: Buffer.from(value) }));
      await producer.send({ topic: 'bench-3', messages, compression: CompressionTypes.None });
    }
  });
}
await producer.disconnect();

for (const topic of ['bench-1', 'bench-2']) {
  const ends = await Promise.all(Array.from({ length: PARTITIONS }, (_, p) => log.bounds(topic, p)));
  const total = ends.reduce((sum, { end }) => sum + end, 0);
  await measure(`read ${topic}, 1000 a read`, total, async () => {
    await Promise.all(
      ends.map(async ({ end }, partition) => {
        for (let from = 0; from < end;) {
          from = (await log.read(topic, partition, from, { recordsMax: 1_000, bytesMax: 2 ** 22 })).nextOffset;
        }
      }),
    );
  });
}
process.stdout.write(`${JSON.stringify(figures)}\n`);
await log.close();
await server.stop();
