/**
 * Compares what a run left behind with what the oracle expects of the logs as they were recorded.
 *
 * States and timers must be equal. Of every event topic the readers' rule (keep what is above the highest (offset,
 * index) of its source and operator) must yield the expected outputs, each once and in order; repeats in the log must
 * be identical, and with atomic delivery there are none. Tables must end with the last value.
 */
import { decodeRecord, encodeRecord, isRecordOf } from '../../schemas/codec.js';
import { hash32, partitionFor } from '../../schemas/ids.js';
import type { LogRecord } from '../../streams/log/event-log.js';
import type { MemoryLog } from '../../streams/memory/memory-log.js';
import { forEachCell } from '../../streams/runtime/row-bytes.js';
import { TaskMeta } from '../../streams/runtime/task-meta.js';
import type { AnyStage, Topology } from '../../streams/runtime/topology.js';
import type { TaskId } from '../../streams/state/state-store.js';
import { taskName } from '../../streams/state/state-store.js';
import { Oracle } from './oracle.js';
import type { Expectation, ExpectedOutput } from './oracle.js';
import type { StoreServer } from './simulated-store.js';
import { DEAD_LETTERS } from './stages.js';

const ALL = { recordsMax: Infinity, bytesMax: Infinity };

export function recordsOf(log: MemoryLog, topic: string, partition: number): readonly LogRecord[] {
  return log.readNow(topic, partition, 0, ALL).records;
}

/** Records of all tables, before compaction. */
export type Published = ReadonlyMap<string, readonly LogRecord[]>;

export function publishedIn(log: MemoryLog): Published {
  const published = new Map<string, readonly LogRecord[]>();
  for (const { name, partitions, class: of } of log.topics()) {
    for (let partition = 0; of === 'table' && partition < partitions; partition++)
      published.set(`${name}/${partition}`, recordsOf(log, name, partition));
  }
  return published;
}

/** Every difference found, in words; empty when the run is right. The log's tables are compacted by then. */
export function verify(topology: Topology, log: MemoryLog, server: StoreServer, published: Published): string[] {
  const faults: string[] = [];
  for (const stage of topology.stages) {
    const { partitions } = log.topic(stage.input);
    for (let partition = 0; partition < partitions; partition++) {
      const id = { stage: stage.name, partition };
      const expected = Oracle.expect(stage, partition, recordsOf(log, stage.input, partition));
      const source = `${log.identity}/${stage.input}/${partition}`;
      faults.push(...compareState(stage, id, expected, server));
      faults.push(...compareOutputs(source, expected.outputs, log, server.delivery === 'atomic'));
      faults.push(...compareTables(expected, log, published, server.delivery === 'atomic', partition));
    }
  }
  return faults;
}

function compareState(stage: AnyStage, id: TaskId, expected: Expectation, server: StoreServer): string[] {
  const faults: string[] = [];
  const task = taskName(id);
  const names = new Map(stage.operators.map(({ name }) => [hash32(name) >>> 0, name]));
  const actual = new Map<string, string>();
  for (const [key, stored] of server.memory.rowsNow(id)) {
    forEachCell(stored, (hash, _version, bytes) => actual.set(`${key}.${names.get(hash)}`, bytes.toString('latin1')));
  }
  const wanted = new Map<string, string>();
  for (const [key, cells] of expected.states) for (const [name, bytes] of cells) wanted.set(`${key}.${name}`, bytes);
  for (const place of new Set([...actual.keys(), ...wanted.keys()])) {
    if (actual.get(place) !== wanted.get(place)) {
      faults.push(`state ${task} ${place} is ${actual.get(place)}, expected ${wanted.get(place)}`);
    }
  }
  const timers = server.memory.timersNow(id).map((timer) => `${timer.time}/${timer.operator}/${timer.key}`);
  const wantedTimers = expected.timers.map((timer) => `${timer.time}/${timer.operator}/${timer.key}`);
  if (String(timers.sort()) !== String(wantedTimers.sort())) {
    faults.push(`timers of ${task} are ${timers.join()}, expected ${wantedTimers.join()}`);
  }
  const { streamTime, tickOwner } = TaskMeta.decode(server.memory.headNow(id)?.meta ?? new Uint8Array());
  if (streamTime !== expected.streamTime)
    faults.push(`stream time of ${task} is ${streamTime}, expected ${expected.streamTime}`);
  if (tickOwner !== expected.tickOwner)
    faults.push(`tick owner of ${task} is '${tickOwner}', expected '${expected.tickOwner}'`);
  return faults;
}

/** An output as a reader knows it: its name, and what it says. */
interface Line {
  readonly name: string;
  readonly content: string;
}

function compareOutputs(
  source: string,
  expected: readonly ExpectedOutput[],
  log: MemoryLog,
  isAtomic: boolean,
): string[] {
  const faults: string[] = [];
  const topics = log.topics().filter((topic) => topic.class === 'event');
  for (const { name: topic, partitions, exact: isExact } of topics) {
    for (let partition = 0; partition < partitions; partition++) {
      const sent = recordsOf(log, topic, partition).filter(({ origin }) => origin?.source === source);
      const place = `${topic}/${partition} from ${source}`;
      const wanted = new Map<string, Line[]>();
      for (const { operator, offset, index, key, value, topic: to } of expected) {
        if (to !== topic || partitionFor(key, partitions) !== partition) continue;
        addLine(wanted, operator, { name: `${offset}.${index}`, content: `${key} ${readable(topic, value)}` });
      }
      const { kept, repeats } = asReaderSees(sent, topic, place, faults);
      if ((isAtomic || isExact) && repeats > 0) faults.push(`${place}: ${repeats} outputs are in the log twice`);
      for (const operator of new Set([...kept.keys(), ...wanted.keys()])) {
        const fault = firstDifference(kept.get(operator) ?? [], wanted.get(operator) ?? []);
        if (fault !== undefined) faults.push(`${place}: of operator ${operator} ${fault}`);
      }
    }
  }
  return faults;
}

function firstDifference(actual: readonly Line[], wanted: readonly Line[]): string | undefined {
  for (let i = 0; i < Math.max(actual.length, wanted.length); i++) {
    const [mine, theirs] = [actual[i], wanted[i]];
    if (mine?.content !== theirs?.content) {
      const said = (line: Line | undefined): string =>
        line === undefined ? 'nothing' : `'${line.name} ${line.content}'`;
      return `an output is lost or repeated: number ${i} is ${said(mine)}, expected ${said(theirs)}`;
    }
  }
  const i = actual.findIndex(({ name }, at) => name !== wanted[at]!.name);
  return i < 0 ? undefined : `output ${i} is named ${actual[i]!.name}, expected ${wanted[i]!.name}`;
}

function addLine(lines: Map<string, Line[]>, operator: string, line: Line): void {
  const own = lines.get(operator);
  if (own === undefined) lines.set(operator, [line]);
  else own.push(line);
}

/** What a reader keeps, by operator. */
function asReaderSees(
  sent: readonly LogRecord[],
  topic: string,
  place: string,
  faults: string[],
): { kept: Map<string, Line[]>; repeats: number } {
  const kept = new Map<string, Line[]>();
  const highest = new Map<string, readonly [number, number]>();
  const bytes = new Map<string, string>();
  let repeats = 0;
  for (const { key, value, origin } of sent) {
    const { operator, offset, index } = origin!;
    const id = `${operator} ${offset}.${index}`;
    const said = `${key} ${value.toString('latin1')}`;
    const before = bytes.get(id);
    if (before === undefined) bytes.set(id, said);
    else repeats++;
    if (before !== undefined && before !== said)
      faults.push(`${place}: output ${id} is in the log with different bytes`);
    const [highOffset, highIndex] = highest.get(operator) ?? [-1, -1];
    if (offset < highOffset || (offset === highOffset && index <= highIndex)) continue;
    highest.set(operator, [offset, index]);
    addLine(kept, operator, { name: `${offset}.${index}`, content: `${key} ${readable(topic, value)}` });
  }
  return { kept, repeats };
}

/** Dead letters compare without their prose and without the operator, which only the runtime knows. */
function readable(topic: string, value: Buffer): string {
  if (topic !== DEAD_LETTERS) return value.toString();
  const letter = decodeRecord(value);
  if (!isRecordOf(letter, 'DeadLetter')) return `no dead letter: ${letter.kind}`;
  return encodeRecord('DeadLetter', { ...letter, reason: '', operator: null }).toString('latin1');
}

function compareTables(
  expected: Expectation,
  log: MemoryLog,
  published: Published,
  isAtomic: boolean,
  partition: number,
): string[] {
  const faults: string[] = [];
  for (const [topic, keys] of expected.tables) {
    const records = published.get(`${topic}/${partition}`)!;
    const compacted = new Map(recordsOf(log, topic, partition).map(({ key, value }) => [key, value.toString()]));
    for (const [key, values] of keys) {
      const place = `${topic}/${partition} ${key}`;
      const sent = records.filter((record) => record.key === key).map(({ value }) => value.toString());
      const strange = sent.find((value) => !values.includes(value));
      if (strange !== undefined) faults.push(`${place}: '${strange}' was never published`);
      const ranks = sent.map((value) => values.indexOf(value));
      if (Math.max(...ranks) !== values.length - 1) faults.push(`${place}: the last value is missing`);
      if (compacted.get(key) !== values.at(-1))
        faults.push(`${place}: compaction keeps '${compacted.get(key)}', expected '${values.at(-1)}'`);
      const isInOrder = ranks.every((rank, i) => i === 0 || rank > ranks[i - 1]!);
      if (isAtomic && !isInOrder) faults.push(`${place}: values are out of order`);
    }
  }
  return faults;
}
