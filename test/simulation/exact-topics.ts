/** What a transaction does for an exact topic: outputs at or below the last id of their source and operator are there already. */
import type { LogRecord, OutgoingRecord } from '../../streams/log/event-log.js';
import type { MemoryLog } from '../../streams/memory/memory-log.js';

const ALL = { recordsMax: Infinity, bytesMax: Infinity };

/** What of `records` is new to the topic: ids are those that the log itself holds, so they fall back with it. */
export function withoutSent(log: MemoryLog, topic: string, records: readonly OutgoingRecord[]): OutgoingRecord[] {
  const sent = Array.from(
    { length: log.topic(topic).partitions },
    (_, partition) => log.readNow(topic, partition, 0, ALL).records,
  ).flat();
  const highest = new Map<string, readonly [number, number]>();
  for (const record of [...sent]) note(highest, record);
  return records.filter((record) => note(highest, record));
}

/** Whether the record's id is above the highest of its source and operator. */
function note(
  highest: Map<string, readonly [number, number]>,
  { origin }: Pick<LogRecord | OutgoingRecord, 'origin'>,
): boolean {
  const { source, operator, offset, index } = origin!;
  const name = `${source} ${operator}`;
  const [highOffset, highIndex] = highest.get(name) ?? [-1, -1];
  if (offset < highOffset || (offset === highOffset && index <= highIndex)) return false;
  highest.set(name, [offset, index]);
  return true;
}
