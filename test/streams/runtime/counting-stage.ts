/**
 * A small stage for runtime tests: records `{key, ts, n, ...}` as JSON, a sum per key, quiet-period timers that emit,
 * and a partition-wide total. Log-pure, so any two runs over the same log must agree to the byte.
 */
import { EngineError } from '../../../schemas/errors.js';
import type { Operator, StateCodec } from '../../../streams/runtime/operator.js';
import type { RuntimeRecord, StageDeclaration } from '../../../streams/runtime/topology.js';

export interface CountRecord {
  readonly ts: number;
  readonly n: number;
  readonly receivedAt?: number;
  /** Makes an operator throw. */
  readonly poison?: boolean;
  readonly runtime?: RuntimeRecord;
}

export const INPUT = 'counts';
export const OUTPUT = 'sums';
export const TABLE = 'default.item-state';
export const HINTS = 'default.feed-hints';
export const DEAD_LETTERS = 'dead';
export const QUIET_MS = 100;

export function jsonCodec<S>(version = 1): StateCodec<S> {
  return {
    version,
    encode: (state) => Buffer.from(JSON.stringify(state)),
    decode: (bytes) => JSON.parse(bytes.toString()) as S,
  };
}

export interface Sum {
  n: number;
  last: number;
  armed: number;
}

/** Adds up; emits the sum when the key has been quiet for QUIET_MS of event time. */
export const sumOperator: Operator<CountRecord, Sum> = {
  name: 'sum',
  purity: 'log-pure',
  state: jsonCodec<Sum>(),
  process(record, cell, context) {
    if (record.poison) throw new Error(`poison at ${context.offset}`);
    const sum = cell.getOr(() => ({ n: 0, last: -1, armed: -1 }));
    sum.n += record.n;
    sum.last = Math.max(sum.last, context.time);
    if (sum.armed < 0) {
      sum.armed = sum.last + QUIET_MS;
      context.setTimer(sum.armed);
    }
    cell.changed();
    context.publish(TABLE, context.key, Buffer.from(String(sum.n)));
    context.hint(HINTS, `${context.offset}`);
  },
  fire(cell, context) {
    const sum = cell.get();
    if (sum === undefined) return;
    if (sum.last + QUIET_MS > context.time) {
      sum.armed = sum.last + QUIET_MS;
      context.setTimer(sum.armed);
    } else {
      sum.armed = -1;
      context.emit(OUTPUT, context.key, Buffer.from(`${context.key}=${sum.n}@${context.time}/${context.streamTime}`));
    }
    cell.changed();
  },
};

/** Counts all records of the partition, and emits every record's number twice: emission indexes matter. */
export const totalOperator: Operator<CountRecord, { total: number }> = {
  name: 'total',
  purity: 'log-pure',
  scope: 'partition',
  state: jsonCodec<{ total: number }>(),
  process(_record, cell, context) {
    const state = cell.getOr(() => ({ total: 0 }));
    state.total++;
    cell.changed();
    context.emit(OUTPUT, context.key, Buffer.from(`total ${state.total}`));
    context.emit(OUTPUT, context.key, Buffer.from(`again ${state.total}`));
  },
};

export function countingStage(changes: Partial<StageDeclaration<CountRecord>> = {}): StageDeclaration<CountRecord> {
  return {
    name: 'counting',
    input: INPUT,
    codec: {
      decode: (value) => {
        try {
          return JSON.parse(value.toString()) as CountRecord;
        } catch (cause) {
          throw new EngineError('CODEC_CORRUPT', 'not JSON', { cause });
        }
      },
      times: (record) => ({ ts: record.ts, receivedAt: record.receivedAt }),
      runtimeRecord: (record) => record.runtime,
      encodeRuntimeRecord: (runtime) => Buffer.from(JSON.stringify({ runtime })),
    },
    operators: [sumOperator, totalOperator],
    outputs: [OUTPUT, TABLE, HINTS],
    clockToleranceMs: 0,
    allowedLatenessMs: Infinity,
    latePolicy: 'process',
    faultPolicy: 'dead-letter',
    deadLetters: DEAD_LETTERS,
    ...changes,
  };
}

export function count(key: string, ts: number, n = 1, more: Partial<CountRecord> = {}): { key: string; value: Buffer } {
  return { key, value: Buffer.from(JSON.stringify({ ts, n, ...more })) };
}
