/**
 * What an interval join keeps under one key: records of either side that may still meet one of the other.
 *
 * Layout, Avro longs and bytes: version of the left codec, of the right codec, the armed timer, then per side the
 * number of records and for each its time (as the difference to the one before), whether it met another, and its value.
 */
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { StateCodec } from '../runtime/operator.js';
import { NO_TIMER } from './key-timer.js';
import { requireKnownVersion } from './window-state.js';

export interface Buffered<T> {
  readonly time: number;
  readonly value: T;
  /** It was sent together with one of the other side. */
  matched: boolean;
}

export interface JoinState<L, R> {
  timer: number;
  /** Both by time; equal times in the order of arrival. */
  readonly left: Buffered<L>[];
  readonly right: Buffered<R>[];
}

export function emptyJoinState<L, R>(): JoinState<L, R> {
  return { timer: NO_TIMER, left: [], right: [] };
}

const LAYOUT_VERSION = 1;
/** A record takes at least this many bytes: bounds the count read from damaged bytes. */
const RECORD_BYTES_MIN = 3;

export function createJoinStateCodec<L, R>(
  operator: string,
  left: StateCodec<L>,
  right: StateCodec<R>,
): StateCodec<JoinState<L, R>> {
  const writer = new BinaryWriter();
  return {
    version: LAYOUT_VERSION,
    encode(state) {
      const lefts = state.left.map(({ value }) => left.encode(value));
      const rights = state.right.map(({ value }) => right.encode(value));
      writer.openScratch();
      writer.writeLong(left.version);
      writer.writeLong(right.version);
      writer.writeLong(state.timer);
      writeSide(writer, state.left, lefts);
      writeSide(writer, state.right, rights);
      return writer.takeScratch();
    },
    decode(bytes) {
      try {
        const reader = new BinaryReader();
        reader.open(bytes, 0);
        const leftVersion = reader.readLong();
        const rightVersion = reader.readLong();
        requireKnownVersion(operator, leftVersion, left.version);
        requireKnownVersion(operator, rightVersion, right.version);
        const timer = reader.readLong();
        const lefts = readSide(reader, (value) => left.decode(value, leftVersion));
        const rights = readSide(reader, (value) => right.decode(value, rightVersion));
        reader.close();
        return { timer, left: lefts, right: rights };
      } catch (cause) {
        if (isEngineError(cause) && cause.code !== 'CODEC_CORRUPT') throw cause;
        throw new EngineError('STATE_CORRUPT', `The buffers of operator '${operator}' cannot be read.`, { cause });
      }
    },
  };
}

function writeSide<T>(writer: BinaryWriter, side: readonly Buffered<T>[], values: readonly Uint8Array[]): void {
  writer.writeLong(side.length);
  let before = 0;
  side.forEach(({ time, matched }, i) => {
    writer.writeLong(time - before);
    writer.writeByte(matched ? 1 : 0);
    writer.writeBytes(values[i]!);
    before = time;
  });
}

function readSide<T>(reader: BinaryReader, decode: (value: Buffer) => T): Buffered<T>[] {
  const side: Buffered<T>[] = [];
  const count = reader.readCount(RECORD_BYTES_MIN);
  let time = 0;
  for (let i = 0; i < count; i++) {
    time += reader.readLong();
    const matched = reader.readBoolean();
    side.push({ time, matched, value: decode(reader.readBytes()) });
  }
  return side;
}
