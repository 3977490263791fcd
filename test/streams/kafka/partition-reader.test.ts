/** Reads while a partition has no leader: an outage of seconds is waited for, a fault for good is told at once. */
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../schemas/errors.js';
import { ManualClock } from '../../../streams/clock.js';
import type { FetchedPartition } from '../../../streams/kafka/fetch-request.js';
import type { Channel } from '../../../streams/kafka/kafka-client.js';
import { KafkaMetrics } from '../../../streams/kafka/kafka-metrics.js';
import { PartitionReader } from '../../../streams/kafka/partition-reader.js';
import { createMetrics } from '../../../streams/metrics.js';

const LIMITS = { recordsMax: 10, bytesMax: 1_000 };

/** A channel without a leader for `outages` questions. */
function readerWith(outages: number, code: 'LOG_UNAVAILABLE' | 'LOG_REFUSED') {
  const clock = new ManualClock();
  const nothing: FetchedPartition = {
    topic: 't',
    partition: 0,
    error: 0,
    end: 0,
    aborted: [],
    records: Buffer.alloc(0),
  };
  let asked = 0;
  const channel = {
    leader: () => {
      if (++asked <= outages) throw new EngineError(code, 'no leader');
      return 1;
    },
    refresh: () => Promise.resolve(),
    send: () => Promise.resolve([nothing]),
  } as unknown as Channel;
  const metrics = new KafkaMetrics(createMetrics({ namespace: 'test', includeProcess: false }));
  const options = { partitionBytesMax: 1_000, cacheBytesMax: 1_000 };
  return { clock, reader: new PartitionReader({ channel, clock, metrics }, options), asked: () => asked };
}

describe('a read', () => {
  it('waits for a leader for some seconds', async () => {
    const { clock, reader } = readerWith(10, 'LOG_UNAVAILABLE');
    const reading = reader.read('t', 0, 0, LIMITS);
    await clock.advance(8_000);
    expect(await reading).toEqual({ records: [], nextOffset: 0, hasMore: false });
  });

  it('gives up after some ten seconds', async () => {
    const { clock, reader } = readerWith(Infinity, 'LOG_UNAVAILABLE');
    const reading = expect(reader.read('t', 0, 0, LIMITS)).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' });
    await clock.advance(15_000);
    await reading;
  });

  it('tells a refusal at once', async () => {
    const { reader, asked } = readerWith(Infinity, 'LOG_REFUSED');
    await expect(reader.read('t', 0, 0, LIMITS)).rejects.toMatchObject({ code: 'LOG_REFUSED' });
    expect(asked()).toBe(1);
  });
});

describe('questions for bounds', () => {
  interface Request {
    topics: { topic: string; partitions: { partition: number; timestamp: number }[] }[];
  }

  /** Logs begin at 10 times their partition and have 3 records; a request that names `faulty` fails. */
  function readerOver(faulty: number | undefined) {
    const requests: Request[] = [];
    const broker = {
      listOffsets: (request: Request) => {
        requests.push(request);
        const all = request.topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition));
        if (faulty !== undefined && all.includes(faulty)) throw new EngineError('LOG_REFUSED', `of ${faulty}`);
        const responses = request.topics.map(({ topic, partitions }) => ({
          topic,
          partitions: partitions.map(({ partition, timestamp }) => ({
            partition,
            offset: String(10 * partition + (timestamp === -1 ? 3 : 0)),
          })),
        }));
        return Promise.resolve({ responses });
      },
    };
    const channel = {
      leader: (_: string, partition: number) => partition % 2,
      leaderBroker: () => Promise.resolve(broker),
    } as unknown as Channel;
    const metrics = new KafkaMetrics(createMetrics({ namespace: 'test', includeProcess: false }));
    const options = { partitionBytesMax: 1_000, cacheBytesMax: 1_000 };
    return { reader: new PartitionReader({ channel, clock: new ManualClock(), metrics }, options), requests };
  }

  it('share a request to each leader', async () => {
    const { reader, requests } = readerOver(undefined);
    const asked = ['t', 'u'].flatMap((topic) => [0, 1, 2, 3].map((partition) => reader.bounds(topic, partition)));
    const bounds = [0, 1, 2, 3].map((partition) => ({ start: 10 * partition, end: 10 * partition + 3 }));
    expect(await Promise.all(asked)).toEqual([...bounds, ...bounds]);
    expect(requests).toHaveLength(4);
  });

  it('are answered but for the partition at fault', async () => {
    const { reader } = readerOver(2);
    const [first, faulty, third] = [0, 2, 4].map((partition) => reader.bounds('t', partition));
    await expect(faulty).rejects.toMatchObject({ code: 'LOG_REFUSED' });
    expect(await Promise.all([first, third])).toEqual([
      { start: 0, end: 3 },
      { start: 40, end: 43 },
    ]);
  });
});
