/**
 * Contract of an operator: pure, synchronous code that folds records of one key into that key's state.
 *
 * The runtime calls `process` for each record in log order and `fire` for each due timer before the first record
 * whose event time is later. An operator touches only the cell of its record's key (or, with scope `partition`, the
 * one cell of its partition); anything else is a message to another stage. It must not read clocks, random sources
 * or anything that is not in the record, the cell or — when declared `table-reading` — a followed table; so state is a
 * function of the log and a replay reproduces it.
 *
 * States are mutated in place: `cell.get()` returns the live object, `cell.changed()` says it must be stored.
 */
import type { BinaryWriter } from '../../schemas/binary-writer.js';

/** How a state value becomes bytes and back. `decode` reads every version the operator ever wrote up to `version`. */
export interface StateCodec<S> extends StateReader<S> {
  encode(state: S): Uint8Array;
  /** Writes what `encode` returns into a row that is being put together, which spares a buffer and a copy. */
  encodeInto?(state: S, writer: BinaryWriter): void;
}

/** Half of a codec: of those who only read, who may be content with a part of the state. */
export interface StateReader<S> {
  /** Version written into each stored cell; raise it with the layout. */
  readonly version: number;
  /** Throws STATE_CORRUPT or STATE_VERSION_UNKNOWN. */
  decode(bytes: Buffer, version: number): S;
  /**
   * What `decode` returns holds none of the bytes that it was given, which may then be those of the stored row: they change
   * when the row does. Other codecs are given a copy. Default false.
   */
  readonly decodesByCopy?: boolean;
}

/** One operator's state under one key. */
export interface Cell<S> {
  /** The live state, or undefined. */
  get(): S | undefined;
  /** The live state, created by `initial` (and marked changed) when there is none. */
  getOr(initial: () => S): S;
  /** Replaces the state and marks it changed. */
  set(state: S): void;
  /** Marks the live state as changed: it is encoded at the commit. */
  changed(): void;
  remove(): void;
}

/** What an operator may see and do while a record or timer is processed. Valid only during the call. */
export interface Context {
  /** Key of the record or timer. */
  readonly key: string;
  /** Event time of the record, clamped, or the timer's time; ms since epoch. */
  readonly time: number;
  /** Highest event time the partition has seen. Never moves back. */
  readonly streamTime: number;
  /** Offset of the record, or of the record that made the timer due. */
  readonly offset: number;
  readonly partition: number;

  /** Sends an `event` output; identified by (input offset, operator, emission index). */
  emit(topic: string, key: string, value: Uint8Array): void;
  /** As `emit`, for a value that `write` puts where it is kept, during the call: spares a buffer and a copy. */
  emitRecord<T>(topic: string, key: string, write: (record: T, writer: BinaryWriter) => void, record: T): void;
  /** Publishes a table value, to the partition of the same number; within a batch the last one of a key wins. */
  publish(topic: string, key: string, value: Uint8Array): void;
  /**
   * Asks for one call of the operator's own `publish` for this key at the commit: for values that move with every
   * record, of which readers see the last one of a batch at most. Only for a key whose state is there.
   */
  publishLater(): void;
  /** Tells followers of a hint topic that this key moved, after the commit. */
  hint(topic: string, eventId: string): void;

  /** Asks for `fire` of this operator and key once event time passes `time` (strictly). Idempotent. */
  setTimer(time: number): void;
  /** Withdraws a timer set for exactly this time. */
  clearTimer(time: number): void;

  /** Later operators do not see this record. */
  stop(): void;

  /** State of another operator under the same key, as declared in `reads`. Must not be changed. */
  peek<S>(operator: Operator<never, S>): S | undefined;

  /** Cells of all operators under this key as bytes; for operators that move state between keys. */
  exportCells(): readonly ExportedCell[];
  /** Folds exported cells into this key by each operator's `merge`, in topology order. */
  importCells(cells: readonly ExportedCell[]): void;
  /** Removes the cells of all operators under this key and every timer they had set is ignored when it fires. */
  removeCells(): void;
}

/** What `publish` may see and do. */
export type PublishContext = Pick<Context, 'key' | 'offset' | 'publish'>;

export interface ExportedCell {
  readonly operator: string;
  readonly version: number;
  readonly bytes: Buffer;
}

export interface Operator<R, S> {
  /** Unique in its stage; part of stored cells, timers, output ids, metrics. Lower-case kebab. */
  readonly name: string;
  /** `log-pure` states equal a sequential oracle's byte for byte; `table-reading` ones are checked by invariants. */
  readonly purity: 'log-pure' | 'table-reading';
  /** `key` (default): a cell per key. `partition`: one cell a partition, for additive sums. */
  readonly scope?: 'key' | 'partition';
  readonly state: StateCodec<S>;
  /** Operators of the same stage, earlier in its order, whose state `peek` may read. */
  readonly reads?: readonly string[];
  process(record: R, cell: Cell<S>, context: Context): void;
  /** Called for timers this operator set. The cell may be gone by now. */
  fire?(cell: Cell<S>, context: Context): void;
  /**
   * Publishes the values that `publishLater` asked for, from the state as it is committed, which it must not change.
   * Not called when the state was removed since. `offset` is that of the record that last changed the row. It must not
   * throw: what it publishes is nobody's input, so an error stops the task.
   */
  publish?(state: S, context: PublishContext): void;
  /**
   * Folds the state of a key that became another. Absent: the receiving key's own state stays. With scope `partition`, folds
   * another partition's when their number changes: what is summed over all partitions must stay the same; absent, they
   * cannot become fewer.
   */
  merge?(target: Cell<S>, source: S, context: Context): void;
}

/** An operator whose types are not known to its caller. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the one place where operator types are erased
export type AnyOperator<R> = Operator<R, any>;
