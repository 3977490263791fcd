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
    expect(await reading).toEqual({ records: [], nextOffset: 0 });
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
