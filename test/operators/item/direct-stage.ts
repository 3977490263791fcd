/**
 * Runs item operators straight, without log, state store or encoding of states: for tests of what they compute and for
 * replays that only care about the tables they fill. Timers fire before the first record that is later.
 */
import { decodeRecord } from '../../../schemas/codec.js';
import type { AnyRecord } from '../../../schemas/records.js';
import type { ItemEvent } from '../../../operators/item/item-events.js';
import type { AnyOperator, Cell, Context, Operator } from '../../../streams/runtime/operator.js';

const PARTITION_KEY = '\u0001partition';

export interface Published {
  readonly topic: string;
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: number;
}

class DirectCell implements Cell<unknown> {
  row: unknown[] = [];
  constructor(
    private readonly ordinal: number,
    private readonly onChanged: () => void,
  ) {}
  get(): unknown {
    return this.row[this.ordinal];
  }
  getOr(initial: () => unknown): unknown {
    return (this.row[this.ordinal] ??= initial());
  }
  set(state: unknown): void {
    this.row[this.ordinal] = state;
    this.onChanged();
  }
  changed(): void {
    this.onChanged();
  }
  remove(): void {
    this.row[this.ordinal] = undefined;
  }
}

/** One partition of one stage. `onPublish` gets every publication, in order. */
export class DirectStage implements Context {
  key = '';
  time = 0;
  streamTime = -Infinity;
  offset = -1;
  readonly partition = 0;
  publications = 0;
  publishedBytes = 0;
  readonly published: Published[] = [];
  private readonly rows = new Map<string, unknown[]>();
  private readonly cells: DirectCell[];
  private earliestTimer = Infinity;
  private timers: { time: number; ordinal: number; key: string }[] = [];
  private readonly timerIds = new Set<string>();
  private current = 0;
  private stopped = false;
  private asked = false;

  constructor(
    private readonly operators: readonly AnyOperator<ItemEvent>[],
    private readonly onPublish?: (published: Published) => void,
  ) {
    this.cells = operators.map((_, ordinal) => new DirectCell(ordinal, () => undefined));
  }

  process(record: ItemEvent, key: string): void {
    this.fireBefore(record.ts);
    this.offset++;
    this.key = key;
    this.time = record.ts;
    this.streamTime = Math.max(this.streamTime, record.ts);
    this.stopped = false;
    for (let i = 0; i < this.operators.length && !this.stopped; i++) {
      this.enter(i);
      this.operators[i]!.process(record, this.cells[i] as never, this);
      this.publishAsked();
    }
  }

  publishLater(): void {
    this.asked = true;
  }

  /** As a task does that commits after each record. */
  private publishAsked(): void {
    if (!this.asked) return;
    this.asked = false;
    const state = this.cells[this.current]!.get();
    if (state !== undefined) this.operators[this.current]!.publish!(state, this);
  }

  /** Fires all timers due strictly before `time`, in order. */
  fireBefore(time: number): void {
    while (this.earliestTimer < time) {
      let next: { time: number; ordinal: number; key: string } | undefined;
      for (const timer of this.timers)
        if (timer.time < time && (next === undefined || timer.time < next.time)) next = timer;
      if (next !== undefined) this.forget(next);
      this.earliestTimer = this.timers.reduce((least, timer) => Math.min(least, timer.time), Infinity);
      if (next === undefined) return;
      this.key = next.key;
      this.time = next.time;
      this.enter(next.ordinal);
      this.operators[next.ordinal]!.fire?.(this.cells[next.ordinal] as never, this);
    }
  }

  state<S>(operator: string, key: string): S | undefined {
    const ordinal = this.operators.findIndex((candidate) => candidate.name === operator);
    return this.rows.get(key)?.[ordinal] as S | undefined;
  }

  /** Encodes and decodes every state, as a commit and a restart in between would. */
  roundTripStates(): void {
    for (const row of this.rows.values()) {
      this.operators.forEach(({ state }, ordinal) => {
        if (row[ordinal] !== undefined)
          row[ordinal] = state.decode(Buffer.from(state.encode(row[ordinal])), state.version);
      });
    }
  }

  emit(): void {
    throw new Error('item operators emit nothing');
  }

  emitRecord(): void {
    this.emit();
  }

  publish(topic: string, key: string, value: Uint8Array): void {
    this.publications++;
    this.publishedBytes += value.length;
    const published = { topic, key, value, version: this.offset };
    if (this.onPublish === undefined) this.published.push(published);
    else this.onPublish(published);
  }

  hint(): void {
    throw new Error('item operators hint nothing');
  }

  setTimer(time: number): void {
    const { current: ordinal, key } = this;
    const id = `${ordinal}/${time}/${key}`;
    if (!this.timerIds.has(id)) {
      this.timerIds.add(id);
      this.timers.push({ time, ordinal, key });
      this.earliestTimer = Math.min(this.earliestTimer, time);
    }
  }

  clearTimer(time: number): void {
    const set = this.timers.find(
      (timer) => timer.time === time && timer.ordinal === this.current && timer.key === this.key,
    );
    if (set !== undefined) this.forget(set);
  }

  private forget(gone: { time: number; ordinal: number; key: string }): void {
    this.timers = this.timers.filter((timer) => timer !== gone);
    this.timerIds.delete(`${gone.ordinal}/${gone.time}/${gone.key}`);
  }

  stop(): void {
    this.stopped = true;
  }

  peek<S>(operator: Operator<never, S>): S | undefined {
    const ordinal = this.operators.indexOf(operator);
    return this.rowOf(operator.scope === 'partition' ? PARTITION_KEY : this.key)[ordinal] as S | undefined;
  }

  exportCells(): never[] {
    return [];
  }

  importCells(): void {}

  removeCells(): void {
    this.rows.delete(this.key);
  }

  private enter(ordinal: number): void {
    this.current = ordinal;
    this.cells[ordinal]!.row = this.rowOf(this.operators[ordinal]!.scope === 'partition' ? PARTITION_KEY : this.key);
  }

  private rowOf(key: string): unknown[] {
    let row = this.rows.get(key);
    if (row === undefined) this.rows.set(key, (row = new Array<unknown>(this.operators.length).fill(undefined)));
    return row;
  }
}

/** Decodes a publication; undefined for a withdrawn key. */
export function decodePublished({ value }: Published): AnyRecord | undefined {
  return value.length === 0 ? undefined : decodeRecord(value);
}
