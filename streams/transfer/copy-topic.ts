/**
 * Copies topics of one log to another, so that everything which names an offset stays true.
 *
 *   events   keep their offsets: the target's partition begins where the source's does, and holds every record from there
 *   tables   keep order and origins, which their readers go by; compaction left gaps, so their offsets move together
 *
 * Where the target ends tells how far an earlier try came, so a copy that was cut off goes on. The source must stand still,
 * and nobody else may write to the target: a record that lands elsewhere than expected is TOPIC_MISMATCH.
 */
import { EngineError } from '../../schemas/errors.js';
import type { EventLog, LogRecord, OutgoingRecord } from '../log/event-log.js';

export interface CopyPlace {
  readonly topic: string;
  readonly partition: number;
}

/** Records of one append: some broker batches at once. */
const COPY_LIMITS = { recordsMax: 20_000, bytesMax: 8 << 20 };

/** Returns the records that were copied by this call; the target must have the topic. */
export async function copyTopic(
  source: EventLog,
  target: EventLog,
  topic: string,
  onProgress: (copied: number) => void = () => undefined,
): Promise<number> {
  const { partitions, class: of } = source.topic(topic);
  let copied = 0;
  for (let partition = 0; of !== 'hint' && partition < partitions; partition++) {
    const copy = of === 'table' ? copyTable : copyEvents;
    for await (const count of copy(source, target, { topic, partition })) onProgress((copied += count));
  }
  return copied;
}

async function* copyEvents(source: EventLog, target: EventLog, place: CopyPlace): AsyncGenerator<number> {
  const { topic, partition } = place;
  const { start, end } = await source.bounds(topic, partition);
  const begun = await target.bounds(topic, partition);
  if (begun.end <= start) await target.beginAt(topic, partition, start);
  let at = Math.max(begun.end, start);
  while (at < end) {
    const { records, nextOffset } = await source.read(topic, partition, at, COPY_LIMITS);
    const isWhole = records.every(({ offset }, i) => offset === at + i) && nextOffset === at + records.length;
    if (!isWhole) throw mismatch(place, `the source lacks records behind offset ${at}`);
    await append(target, place, { records, expected: at });
    at = nextOffset;
    yield records.length;
  }
}

async function* copyTable(source: EventLog, target: EventLog, place: CopyPlace): AsyncGenerator<number> {
  const { topic, partition } = place;
  const { start, end } = await source.bounds(topic, partition);
  let present = (await target.bounds(topic, partition)).end;
  let skipped = 0;
  for (let at = start; at < end;) {
    const batch = await source.read(topic, partition, at, COPY_LIMITS);
    const records = batch.records.slice(Math.max(0, present - skipped));
    skipped += batch.records.length;
    if (records.length > 0) {
      await append(target, place, { records, expected: present });
      present += records.length;
      yield records.length;
    }
    at = batch.nextOffset;
  }
}

async function append(
  target: EventLog,
  place: CopyPlace,
  { records, expected }: { records: readonly LogRecord[]; expected: number },
): Promise<void> {
  const { topic, partition } = place;
  const outgoing = records.map(({ key, value, origin }): OutgoingRecord => ({ key, value, partition, origin }));
  const receipts = await target.append(topic, outgoing);
  const misplaced = receipts.findIndex(({ offset }, i) => offset !== expected + i);
  if (misplaced < 0) return;
  const { offset } = receipts[misplaced]!;
  throw mismatch(
    place,
    `a record came to lie at ${offset} instead of ${expected + misplaced}: somebody else writes there`,
  );
}

function mismatch({ topic, partition }: CopyPlace, reason: string): EngineError {
  return new EngineError('TOPIC_MISMATCH', `${topic}/${partition} cannot be copied: ${reason}.`, {
    context: { topic, partition },
  });
}
