/**
 * What must come out: a sequential interpreter of one recorded input partition.
 *
 * It knows no batches, no store, no cache and no failure, and shares no code with the task but the operators
 * themselves and the stage's codec. Per record, in log order:
 *   1. a message of another task that is not above the highest one read from it is skipped, as if it were not there;
 *   2. the record's time is its event time, clamped to receivedAt + tolerance; a tick's is the tick's if its sender is
 *      the owner named last in this log; anything else brings no time; stream time never moves back;
 *   3. timers below that time fire in order of (time, operator, key), also those set meanwhile;
 *   4. the record runs through the operators, or becomes a dead letter with no other effect.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { isEngineError } from '../../schemas/errors.js';
import type { LogRecord } from '../../streams/log/event-log.js';
import type { AnyOperator, Cell, Context, Operator } from '../../streams/runtime/operator.js';
import type { AnyStage } from '../../streams/runtime/topology.js';

export interface ExpectedOutput {
  readonly topic: string;
  readonly key: string;
  readonly value: Buffer;
  readonly operator: string;
  readonly offset: number;
  readonly index: number;
}

export interface ExpectedTimer {
  readonly time: number;
  readonly operator: string;
  readonly key: string;
}

export interface Expectation {
  /** Encoded state by key, then by operator. */
  readonly states: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly timers: readonly ExpectedTimer[];
  readonly outputs: readonly ExpectedOutput[];
  /** Table values in the order in which they were published, by topic and key. */
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;
  readonly streamTime: number;
  readonly tickOwner: string;
}

const PARTITION = '\u0001partition';

/** What one call of an operator did; dropped as a whole when the call throws. */
interface Effects {
  states: Map<string, Map<string, string>>;
  timers: ExpectedTimer[];
  outputs: ExpectedOutput[];
  published: { topic: string; key: string; value: Buffer }[];
}

export class Oracle {
  private states = new Map<string, Map<string, string>>();
  private timers: ExpectedTimer[] = [];
  private readonly outputs: ExpectedOutput[] = [];
  private readonly tables = new Map<string, Map<string, string[]>>();
  private readonly highest = new Map<string, readonly [offset: number, index: number]>();
  private streamTime = -Infinity;
  private tickOwner = '';

  constructor(
    private readonly stage: AnyStage,
    private readonly partition: number,
  ) {}

  static expect(stage: AnyStage, partition: number, records: readonly LogRecord[]): Expectation {
    const oracle = new Oracle(stage, partition);
    for (const record of records) oracle.take(record);
    const { states, timers, outputs, tables, streamTime, tickOwner } = oracle;
    return { states, timers, outputs, tables, streamTime, tickOwner };
  }

  private take(logged: LogRecord): void {
    if (this.isRepeat(logged)) return;
    let record: unknown;
    let time: number | undefined;
    let code: string | undefined;
    try {
      record = this.stage.codec.decode(logged.value);
    } catch (error) {
      code = isEngineError(error) ? error.code : 'TASK_FAILED';
    }
    const runtime = code === undefined ? this.stage.codec.runtimeRecord(record) : undefined;
    if (code === undefined && runtime === undefined) {
      const { ts, receivedAt } = this.stage.codec.times(record);
      const clamped = Math.min(ts, (receivedAt ?? Infinity) + this.stage.clockToleranceMs);
      if (Number.isSafeInteger(clamped)) time = clamped;
      else code = 'EVENT_TIME_INVALID';
    }
    if (runtime?.type === 'tick' && runtime.owner === this.tickOwner) time = runtime.time;
    this.moveTime(Math.max(this.streamTime, time ?? -Infinity), logged.offset);
    if (runtime?.type === 'owner') this.tickOwner = runtime.owner;
    if (runtime !== undefined) return;
    if (code === undefined && this.streamTime - time! > this.stage.allowedLatenessMs) {
      if (this.stage.latePolicy === 'drop') return;
      if (this.stage.latePolicy === 'dead-letter') code = 'EVENT_TIME_INVALID';
    }
    if (code !== undefined) return this.deadLetter(code, logged.offset, logged.key, logged.value);
    const ran = this.attempt((effects) => {
      for (const operator of this.stage.operators as readonly AnyOperator<unknown>[]) {
        const call = new Call(this, effects, operator, logged.key, time!, logged.offset);
        operator.process(record, call.cell(), call.context());
        call.end();
        if (call.stopped) break;
      }
    });
    if (!ran) this.deadLetter('TASK_FAILED', logged.offset, logged.key, logged.value);
  }

  private isRepeat({ origin }: LogRecord): boolean {
    if (origin === undefined) return false;
    const from = `${origin.source}\n${origin.operator}`;
    const [offset, index] = this.highest.get(from) ?? [-1, -1];
    if (origin.offset < offset || (origin.offset === offset && origin.index <= index)) return true;
    this.highest.set(from, [origin.offset, origin.index]);
    return false;
  }

  private moveTime(to: number, offset: number): void {
    for (;;) {
      const timer = this.timers.toSorted(inOrder)[0];
      if (timer === undefined || timer.time >= to) break;
      this.timers = this.timers.filter((other) => other !== timer);
      this.streamTime = Math.max(this.streamTime, timer.time);
      const operators = this.stage.operators as readonly AnyOperator<unknown>[];
      const operator = operators.find(({ name }) => name === timer.operator)!;
      const ran = this.attempt((effects) => {
        const call = new Call(this, effects, operator, timer.key, timer.time, offset);
        operator.fire?.(call.cell(), call.context());
        call.end();
      });
      if (!ran) this.deadLetter('TASK_FAILED', offset, timer.key, Buffer.alloc(0));
    }
    this.streamTime = to;
  }

  /** All of the call's effects, or none when it throws. */
  private attempt(run: (effects: Effects) => void): boolean {
    const states = new Map([...this.states].map(([key, cells]) => [key, new Map(cells)]));
    const effects: Effects = { states, timers: [...this.timers], outputs: [], published: [] };
    try {
      run(effects);
    } catch {
      return false;
    }
    this.states = effects.states;
    this.timers = effects.timers;
    for (const output of effects.outputs) this.output(output);
    for (const { topic, key, value } of effects.published) {
      const keys = this.tables.get(topic) ?? new Map<string, string[]>();
      this.tables.set(topic, keys.set(key, [...(keys.get(key) ?? []), value.toString()]));
    }
    return true;
  }

  private output(output: Omit<ExpectedOutput, 'index'>): void {
    const { operator, offset } = output;
    const index = this.outputs.filter((other) => other.offset === offset && other.operator === operator).length;
    this.outputs.push({ ...output, index });
  }

  private deadLetter(code: string, offset: number, key: string, value: Buffer): void {
    const { input: from, deadLetters } = this.stage;
    const at = Number.isFinite(this.streamTime) ? this.streamTime : 0;
    const place = { topic: from, partition: this.partition, offset, key };
    // The reason is prose and not compared.
    const bytes = encodeRecord('DeadLetter', { ...place, code, reason: '', operator: null, at, value });
    this.output({ topic: deadLetters!, key, value: bytes, operator: '~runtime', offset });
  }

  get now(): number {
    return this.streamTime;
  }

  get place(): number {
    return this.partition;
  }
}

/** One operator at one record or timer. States are decoded and encoded at every touch: nothing is shared or cached. */
class Call {
  stopped = false;
  /** Encodes the live state once the call is over: operators may go on changing it after `changed()`. */
  private finish: () => void = () => undefined;
  private live: unknown;
  private publishes = false;

  constructor(
    private readonly oracle: Oracle,
    private readonly effects: Effects,
    private readonly operator: AnyOperator<unknown>,
    private readonly key: string,
    private readonly time: number,
    private readonly offset: number,
  ) {}

  private get stateKey(): string {
    return this.operator.scope === 'partition' ? PARTITION : this.key;
  }

  end(): void {
    this.finish();
    const { effects, operator, key, offset, live } = this;
    if (!this.publishes || live === undefined) return;
    const publish = (topic: string, to: string, value: Uint8Array): void =>
      void effects.published.push({ topic, key: to, value: Buffer.from(value) });
    operator.publish!(live, { key, offset, publish });
  }

  cell(): Cell<unknown> {
    const { states } = this.effects;
    const { name, state: codec } = this.operator;
    const key = this.stateKey;
    const stored = states.get(key)?.get(name);
    if (stored !== undefined) this.live = codec.decode(Buffer.from(stored, 'latin1'), codec.version);
    const store = (state: unknown): void => {
      this.live = state;
      this.finish = () => store(this.live);
      const cells = states.get(key) ?? new Map<string, string>();
      states.set(key, cells.set(name, Buffer.from(codec.encode(state)).toString('latin1')));
    };
    return {
      get: () => this.live,
      getOr: (initial) => {
        if (this.live === undefined) store(initial());
        return this.live;
      },
      set: store,
      changed: () => store(this.live),
      remove: () => {
        this.live = undefined;
        this.finish = () => undefined;
        const cells = states.get(key);
        cells?.delete(name);
        if (cells?.size === 0) states.delete(key);
      },
    };
  }

  context(): Context {
    const { effects, operator, offset, key, time, oracle } = this;
    const timer = (at: number): ExpectedTimer => ({ time: at, operator: operator.name, key: this.stateKey });
    const without = (gone: ExpectedTimer): ExpectedTimer[] =>
      effects.timers.filter((other) => inOrder(other, gone) !== 0);
    const notSimulated = (): never => {
      throw new Error('this call is not part of the simulation');
    };
    return {
      key,
      time,
      offset,
      streamTime: oracle.now,
      partition: oracle.place,
      emit: (topic, to, value) =>
        effects.outputs.push({ topic, key: to, value: Buffer.from(value), operator: operator.name, offset, index: -1 }),
      emitRecord: notSimulated,
      publish: (topic, to, value) => effects.published.push({ topic, key: to, value: Buffer.from(value) }),
      publishLater: () => {
        this.publishes = true;
      },
      hint: () => undefined,
      setTimer: (at) => {
        effects.timers = [...without(timer(at)), timer(at)];
      },
      clearTimer: (at) => {
        effects.timers = without(timer(at));
      },
      stop: () => {
        this.stopped = true;
      },
      peek: <S>(_other: Operator<never, S>) => notSimulated(),
      exportCells: notSimulated,
      importCells: notSimulated,
      removeCells: () => {
        this.finish = () => undefined;
        effects.states.delete(key);
      },
    };
  }
}

/** Keys are ASCII here, so comparing UTF-16 units is comparing bytes. */
function inOrder(left: ExpectedTimer, right: ExpectedTimer): number {
  if (left.time !== right.time) return left.time - right.time;
  if (left.operator !== right.operator) return left.operator < right.operator ? -1 : 1;
  if (left.key === right.key) return 0;
  return left.key < right.key ? -1 : 1;
}
