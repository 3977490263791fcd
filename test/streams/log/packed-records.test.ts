import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partitionFor } from '../../../schemas/ids.js';
import { PackedRecords, writeFixed } from '../../../streams/log/packed-records.js';
import { systemClock } from '../../../streams/clock.js';
import { openEmbedded } from '../lmdb/harness.js';

const PARTITIONS = 3;
const TOPIC = 'outputs';
const SOURCE = '1/input/0';

const output = fc.record({
  key: fc.string({ unit: 'grapheme', maxLength: 20 }),
  value: fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 8_150, maxLength: 8_250 })),
  operator: fc.constantFrom('session', 'signals'),
});
type Output = typeof output extends fc.Arbitrary<infer T> ? T : never;

function pack(outputs: readonly Output[]): PackedRecords {
  const packed = new PackedRecords(TOPIC, PARTITIONS, SOURCE);
  outputs.forEach(({ key, value, operator }, i) =>
    packed.addWritten(key, writeFixed, value, { operator, offset: i, index: 0 }),
  );
  return packed.finish();
}

/** What is to come out, partition after partition. */
function expected(outputs: readonly Output[]) {
  const all = outputs.map(({ key, value, operator }, i) => ({
    key,
    value: Buffer.from(value),
    partition: partitionFor(key, PARTITIONS),
    origin: { source: SOURCE, operator, offset: i, index: 0 },
  }));
  return Array.from({ length: PARTITIONS }, (_, place) => all.filter(({ partition }) => partition === place)).flat();
}

describe('packed outputs', () => {
  it('come out as they went in, by partition, whatever their sizes', () => {
    fc.assert(
      fc.property(fc.array(output, { maxLength: 20 }), (outputs) => {
        expect(pack(outputs).records).toEqual(expected(outputs));
      }),
      { numRuns: 15 },
    );
  });

  it('keep nothing of a record whose writer threw', () => {
    const packed = new PackedRecords(TOPIC, 1, SOURCE);
    const origin = { operator: 'session', offset: 0, index: 0 };
    packed.addWritten('a', writeFixed, Buffer.from('1'), origin);
    const failing = (): never => {
      throw new Error('does not fit');
    };
    expect(() => packed.addWritten('b', failing, undefined, origin)).toThrow('does not fit');
    packed.addWritten('c', writeFixed, Buffer.from('2'), origin);
    expect(packed.finish().records.map(({ key }) => key)).toEqual(['a', 'c']);
  });

  it('are stored behind what else their transaction brings, few or many', async () => {
    const harness = await openEmbedded(systemClock, { sync: 'none' });
    const { log, store } = harness.storage();
    await log.createTopics([{ name: TOPIC, partitions: PARTITIONS, class: 'event' }]);
    const task = { stage: 'stage', partition: 0 };
    await store.acquire(task, 'owner');
    const appended = { key: 'edge', value: Buffer.from('edge') };
    const sent: ReturnType<typeof expected> = [];
    let previous = '';
    for (const count of [1, 5, 200, 3, 5_000]) {
      const outputs = Array.from({ length: count }, (_, i) => {
        return { key: `key-${i}`, value: Buffer.from(`${count}/${i}`), operator: 'session' as const };
      });
      const next = `commit-${count}`;
      const commit = { owner: 'owner', previous, next, offset: count, meta: new Uint8Array(0), puts: [], deletes: [] };
      const rest = { timersAdded: [], timersRemoved: [], outputs: [pack(outputs)] };
      await Promise.all([log.append(TOPIC, [appended]), store.commit(task, { ...commit, ...rest })]);
      sent.push(...expected(outputs));
      previous = next;
    }
    await harness.reopen();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const limits = { recordsMax: 100_000, bytesMax: 1e9 };
      const { records } = await harness.storage().log.read(TOPIC, partition, 0, limits);
      expect(records.map(({ offset }) => offset)).toEqual(records.map((_, i) => i));
      const outputs = records.filter(({ key }) => key !== 'edge');
      expect(outputs.map(({ key, value, origin }) => ({ key, value, partition, origin }))).toEqual(
        sent.filter((record) => record.partition === partition),
      );
    }
    await harness.close();
  });
});
