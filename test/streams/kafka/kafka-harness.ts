/** A real broker for the tests of a file, and logs on it, each with topics of its own. */
import { type Clock, systemClock } from '../../../streams/clock.js';
import { type KafkaLog, type KafkaLogOptions, openKafkaLog } from '../../../streams/kafka/index.js';
import { silentLogger } from '../../../streams/logger.js';
import { createMetrics } from '../../../streams/metrics.js';
import { seededRandom } from '../../../streams/random.js';
import { type KafkaOptions, type KafkaServer, startKafka } from '../../harness/servers/kafka.js';

let server: KafkaServer | undefined;
let prefixes = 0;

/** In `beforeAll`. */
export async function startBroker(options: KafkaOptions = {}): Promise<void> {
  server = await startKafka(options);
}

/** In `afterAll`. */
export async function stopBroker(): Promise<void> {
  await server?.stop();
  server = undefined;
}

export function broker(): KafkaServer {
  if (server === undefined) throw new Error('No broker was started');
  return server;
}

export function freshPrefix(): string {
  return `t${prefixes++}.`;
}

export function kafkaLogOptions(overrides: Partial<KafkaLogOptions> = {}): KafkaLogOptions {
  return {
    brokers: broker().brokers,
    prefix: freshPrefix(),
    clock: systemClock,
    random: seededRandom(`kafka log ${prefixes}`),
    logger: silentLogger,
    metrics: createMetrics({ namespace: 'test' }),
    ...overrides,
  };
}

export function openLog(overrides: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> {
  return openKafkaLog(kafkaLogOptions(overrides));
}

/** The wall time of one clock, the waiting of the machine's: real servers do not wait for a manual clock. */
export function wallTimeOf(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => systemClock.monotonic(),
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
    setTimer: (ms, callback) => systemClock.setTimer(ms, callback),
    setInterval: (ms, callback) => systemClock.setInterval(ms, callback),
    nextTurn: () => systemClock.nextTurn(),
  };
}
