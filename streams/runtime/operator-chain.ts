/**
 * Runs a stage's operators on one record or timer after the other: the Context that operators see.
 *
 * One instance a task; flyweight cells point at the current row, so processing a record allocates nothing here.
 * Everything an operator does lands in three places that are committed together: rows, timers, outputs.
 */
import { invariant } from '../../schemas/errors.js';
import { writeFixed } from '../log/packed-records.js';
import type { ValueWriter } from '../log/packed-records.js';
import type { BatchOutputs } from './batch-outputs.js';
import type { AnyOperator, Context, ExportedCell, Operator } from './operator.js';
import { RowCell } from './row.js';
import type { CellLayout } from './cell-layout.js';
import type { Row } from './row.js';
import type { TimerQueue } from './timer-queue.js';

/** Row key of cells with scope `partition`. Control characters are refused in ids, so no record can have it. */
export const PARTITION_KEY = '\u0001partition';

/** Name under which the runtime itself emits; no operator can have it. */
const RUNTIME_OPERATOR = '~runtime';

export class OperatorChain implements Context {
  key = '';
  time = 0;
  streamTime = -Infinity;
  offset = 0;
  readonly partition: number;

  private readonly operators: readonly AnyOperator<unknown>[];
  /** Names behind `counts`. */
  private readonly names: readonly string[];
  private readonly cells: readonly RowCell[];
  /** Emission index by operator, the runtime's own last; valid for `countsOffset`. */
  private readonly counts: number[];
  private countsOffset = -1;
  /** By operator: ordinals of those it has peeked at. */
  private readonly peeked: readonly Map<object, number>[];
  private current = 0;
  private stopped = false;
  private row: Row | undefined;
  private partitionRow: Row | undefined;

  constructor(
    private readonly layout: CellLayout,
    private readonly timers: TimerQueue,
    private readonly outputs: BatchOutputs,
    private readonly touched: Row[],
    partition: number,
  ) {
    this.partition = partition;
    this.operators = layout.operators;
    this.names = [...layout.operators.map((operator) => operator.name), RUNTIME_OPERATOR];
    this.cells = layout.operators.map((_, ordinal) => new RowCell(ordinal));
    this.counts = new Array<number>(layout.operators.length + 1).fill(0);
    this.peeked = layout.operators.map(() => new Map());
  }

  /** Sets what the next calls refer to. `emitted` are outputs of this offset that earlier commits already sent. */
  begin(partitionRow: Row | undefined, emitted: ReadonlyMap<string, number>, offset: number): void {
    this.partitionRow = partitionRow;
    this.countsOffset = offset;
    this.names.forEach((name, slot) => {
      this.counts[slot] = emitted.get(name) ?? 0;
    });
  }

  /** Outputs so far on account of `offset`, for the commit that ends before its record was processed. */
  emitted(offset: number): Map<string, number> {
    const counts = new Map<string, number>();
    if (this.countsOffset !== offset) return counts;
    this.names.forEach((name, slot) => {
      if (this.counts[slot]! > 0) counts.set(name, this.counts[slot]!);
    });
    return counts;
  }

  /** Sends an output of the runtime itself, such as a dead letter, on account of the record at `offset`. */
  emitFromRuntime(topic: string, key: string, value: Uint8Array, offset: number): void {
    this.countFrom(offset);
    const index = this.counts[this.operators.length]!++;
    this.outputs.event(topic, key, writeFixed, value, { operator: RUNTIME_OPERATOR, offset, index });
  }

  process(record: unknown, row: Row, time: number, offset: number): void {
    this.moveTo(row, time, offset);
    this.stopped = false;
    const { operators, cells } = this;
    for (let ordinal = 0; ordinal < operators.length; ordinal++) {
      this.enter(ordinal);
      operators[ordinal]!.process(record, cells[ordinal]!, this);
      if (this.stopped) break;
    }
    this.leave(row);
  }

  fire(ordinal: number, row: Row, time: number, offset: number): void {
    this.moveTo(row, time, offset);
    this.enter(ordinal);
    this.operators[ordinal]!.fire?.(this.cells[ordinal]!, this);
    this.leave(row);
  }

  private moveTo(row: Row, time: number, offset: number): void {
    this.key = row.key;
    this.time = time;
    this.offset = offset;
    this.row = row;
    this.countFrom(offset);
  }

  private countFrom(offset: number): void {
    if (offset === this.countsOffset) return;
    this.countsOffset = offset;
    this.counts.fill(0);
  }

  private enter(ordinal: number): void {
    this.current = ordinal;
    const isPartitionScoped = this.operators[ordinal]!.scope === 'partition';
    this.cells[ordinal]!.row = isPartitionScoped ? this.partitionRow : this.row;
  }

  /** Rows that this record changed get its version and are handed to the commit. */
  private leave(row: Row): void {
    if (row.isChanged) this.note(row);
    if (this.partitionRow?.isChanged) this.note(this.partitionRow);
  }

  private note(row: Row): void {
    row.isChanged = false;
    row.version = this.offset;
    if (row.isTouched) return;
    row.isTouched = true;
    this.touched.push(row);
  }

  emit(topic: string, key: string, value: Uint8Array): void {
    this.emitRecord(topic, key, writeFixed, value);
  }

  emitRecord<T>(topic: string, key: string, write: ValueWriter<T>, record: T): void {
    const index = this.counts[this.current]!++;
    const operator = this.operators[this.current]!.name;
    this.outputs.event(topic, key, write, record, { operator, offset: this.offset, index });
  }

  publishLater(): void {
    const row = this.operators[this.current]!.scope === 'partition' ? this.partitionRow! : this.row!;
    row.publishLater(this.current);
  }

  /** Publishes what the row's operators asked for. Called once a commit for each row that changed. */
  publishNow(row: Row): void {
    const bits = row.takePublications();
    if (bits === 0) return;
    this.key = row.key;
    this.offset = row.version;
    for (let ordinal = 0; ordinal < this.operators.length; ordinal++) {
      if ((bits & (1 << ordinal)) === 0) continue;
      this.current = ordinal;
      const state = row.get(ordinal);
      if (state !== undefined) this.operators[ordinal]!.publish!(state, this);
    }
  }

  publish(topic: string, key: string, value: Uint8Array): void {
    this.outputs.table(topic, key, value, this.operators[this.current]!.name, this.offset);
  }

  hint(topic: string, eventId: string): void {
    this.outputs.hint(topic, this.key, eventId, this.offset + 1, this.operators[this.current]!.name);
  }

  setTimer(time: number): void {
    this.requireTime(time);
    this.timers.set(time, this.operators[this.current]!.name, this.timerKey);
  }

  clearTimer(time: number): void {
    this.requireTime(time);
    this.timers.clear(time, this.operators[this.current]!.name, this.timerKey);
  }

  private requireTime(time: number): void {
    if (Number.isSafeInteger(time)) return;
    invariant(false, 'a timer needs an integral time in ms', { time, key: this.key });
  }

  private get timerKey(): string {
    return this.operators[this.current]!.scope === 'partition' ? PARTITION_KEY : this.key;
  }

  stop(): void {
    this.stopped = true;
  }

  peek<S>(operator: Operator<never, S>): S | undefined {
    const row = operator.scope === 'partition' ? this.partitionRow : this.row;
    const ordinal = this.peeked[this.current]!.get(operator) ?? this.requireReadable(operator);
    return row!.get(ordinal) as S | undefined;
  }

  /** Ordinal of an operator that the current one declared to read. */
  private requireReadable(operator: { readonly name: string }): number {
    const own = this.operators[this.current]!;
    if (own.reads?.includes(operator.name) !== true) {
      invariant(false, `operator '${own.name}' peeks at '${operator.name}' without declaring it`);
    }
    const ordinal = this.layout.ordinalOfName(operator.name)!;
    this.peeked[this.current]!.set(operator, ordinal);
    return ordinal;
  }

  exportCells(): readonly ExportedCell[] {
    return this.row!.export();
  }

  importCells(imported: readonly ExportedCell[]): void {
    const entered = this.current;
    for (const operator of this.operators) {
      const source = imported.find((cell) => cell.operator === operator.name);
      const ordinal = this.layout.ordinalOfName(operator.name)!;
      if (source === undefined || operator.merge === undefined) continue;
      this.enter(ordinal);
      operator.merge(this.cells[ordinal]!, operator.state.decode(source.bytes, source.version), this);
    }
    this.enter(entered);
  }

  removeCells(): void {
    this.row!.clear();
  }
}
