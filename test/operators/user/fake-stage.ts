/**
 * A stage without a log: feeds decoded records straight to operators, for property tests that try thousands of orders
 * and for measuring operators alone. Keys are independent of each other, as over many partitions; messages to the
 * stage's own topic wait in `inbox` until the test decides which key goes next.
 */
import { BinaryWriter } from '../../../schemas/binary-writer.js';
import { decodeRecord } from '../../../schemas/codec.js';
import type { AnyRecord } from '../../../schemas/records.js';
import type { AnyOperator, Cell, Context, ExportedCell } from '../../../streams/runtime/operator.js';
import { createUserEventsCodec, type UserEvent } from '../../../operators/user/user-events.js';

export interface FakeOutput {
  readonly topic: string;
  readonly key: string;
  readonly value: Uint8Array;
}

interface FakeTimer {
  readonly time: number;
  readonly ordinal: number;
  readonly key: string;
}

export class FakeStage implements Context {
  key = '';
  time = 0;
  streamTime = 0;
  offset = 0;
  readonly partition = 0;
  outputs: FakeOutput[] = [];
  readonly hints: { key: string; eventId: string }[] = [];
  readonly rows = new Map<string, unknown[]>();
  /** Encodes and decodes every state before it is read again, as when a cache is dropped after each record. */
  restoring = false;
  private readonly timers: FakeTimer[] = [];
  private ordinal = 0;
  private stopped = false;
  private row: unknown[] = [];
  private readonly cells: Cell<unknown>[];

  constructor(private readonly operators: readonly AnyOperator<UserEvent>[]) {
    this.cells = operators.map((_, ordinal) => new FakeCell(() => this.row, ordinal));
  }

  feed(record: UserEvent, key: string = keyOf(record)): void {
    const time = (record as { ts: number }).ts;
    while (this.fireFirstBefore(time));
    this.streamTime = Math.max(this.streamTime, time);
    this.enter(key, time);
    this.stopped = false;
    for (let ordinal = 0; ordinal < this.operators.length && !this.stopped; ordinal++) {
      this.ordinal = ordinal;
      this.operators[ordinal]!.process(record, this.cells[ordinal]!, this);
    }
    this.offset++;
    if (this.restoring) this.restore();
  }

  /** Fires what is due before `time`, as a tick does. */
  advanceTo(time: number): void {
    while (this.fireFirstBefore(time));
    this.streamTime = Math.max(this.streamTime, time);
  }

  /** Takes what waits for the stage's own topic, oldest first. */
  takeMessages(topic: string): { key: string; record: UserEvent }[] {
    const codec = createUserEventsCodec();
    const own = this.outputs.filter((output) => output.topic === topic);
    this.outputs = this.outputs.filter((output) => output.topic !== topic);
    return own.map(({ key, value }) => ({ key, record: codec.decode(Buffer.from(value)) }));
  }

  decoded(topic: string): AnyRecord[] {
    return this.outputs.filter((output) => output.topic === topic).map((output) => decodeRecord(output.value));
  }

  stateOf<S>(name: string, key: string): S | undefined {
    return this.rows.get(key)?.[this.operators.findIndex((operator) => operator.name === name)] as S | undefined;
  }

  encodedBytes(key: string): number {
    const row = this.rows.get(key) ?? [];
    return this.operators.reduce(
      (sum, operator, i) => sum + (row[i] === undefined ? 0 : operator.state.encode(row[i]).length),
      0,
    );
  }

  emitRecord<T>(topic: string, key: string, write: (record: T, writer: BinaryWriter) => void, record: T): void {
    const writer = new BinaryWriter();
    write(record, writer);
    this.emit(topic, key, writer.takeScratch());
  }

  emit(topic: string, key: string, value: Uint8Array): void {
    this.outputs.push({ topic, key, value });
  }
  publish(): void {
    throw new Error('stage 1 publishes nothing');
  }
  publishLater(): void {
    throw new Error('stage 1 publishes nothing');
  }
  hint(_topic: string, eventId: string): void {
    this.hints.push({ key: this.key, eventId });
  }
  setTimer(time: number): void {
    this.clearTimer(time);
    this.timers.push({ time, ordinal: this.ordinal, key: this.key });
  }
  clearTimer(time: number): void {
    const { key, ordinal } = this;
    const index = this.timers.findIndex(
      (timer) => timer.time === time && timer.key === key && timer.ordinal === ordinal,
    );
    if (index >= 0) this.timers.splice(index, 1);
  }
  stop(): void {
    this.stopped = true;
  }
  peek<S>(operator: { readonly name: string }): S | undefined {
    return this.row[this.operators.findIndex((other) => other.name === operator.name)] as S | undefined;
  }
  exportCells(): readonly ExportedCell[] {
    return this.operators.flatMap(({ name, state }, i) =>
      this.row[i] === undefined
        ? []
        : [{ operator: name, version: state.version, bytes: Buffer.from(state.encode(this.row[i])) }],
    );
  }
  importCells(cells: readonly ExportedCell[]): void {
    const entered = this.ordinal;
    this.operators.forEach((operator, ordinal) => {
      const source = cells.find((cell) => cell.operator === operator.name);
      if (source === undefined) return;
      this.ordinal = ordinal;
      operator.merge?.(this.cells[ordinal]!, operator.state.decode(source.bytes, source.version), this);
    });
    this.ordinal = entered;
  }
  removeCells(): void {
    this.row.fill(undefined);
  }

  private enter(key: string, time: number): void {
    let row = this.rows.get(key);
    if (row === undefined) {
      row = new Array<unknown>(this.operators.length).fill(undefined);
      this.rows.set(key, row);
    }
    this.row = row;
    this.key = key;
    this.time = time;
  }

  private fireFirstBefore(time: number): boolean {
    let first = -1;
    for (let i = 0; i < this.timers.length; i++) {
      if (this.timers[i]!.time < time && (first < 0 || this.timers[i]!.time < this.timers[first]!.time)) first = i;
    }
    if (first < 0) return false;
    const timer = this.timers.splice(first, 1)[0]!;
    this.enter(timer.key, timer.time);
    this.ordinal = timer.ordinal;
    this.operators[timer.ordinal]!.fire?.(this.cells[timer.ordinal]!, this);
    return true;
  }

  private restore(): void {
    this.operators.forEach(({ state }, i) => {
      if (this.row[i] === undefined) return;
      this.row[i] = state.decode(Buffer.from(state.encode(this.row[i])), state.version);
    });
  }
}

class FakeCell implements Cell<unknown> {
  constructor(
    private readonly row: () => unknown[],
    private readonly ordinal: number,
  ) {}
  get(): unknown {
    return this.row()[this.ordinal];
  }
  getOr(initial: () => unknown): unknown {
    return (this.row()[this.ordinal] ??= initial());
  }
  set(state: unknown): void {
    this.row()[this.ordinal] = state;
  }
  changed(): void {
    if (this.get() === undefined) throw new Error('changed() on an empty cell');
  }
  remove(): void {
    this.row()[this.ordinal] = undefined;
  }
}

function keyOf(record: UserEvent): string {
  return record.kind === 'Identify' ? record.anonymousId : 'userId' in record ? record.userId : '';
}
