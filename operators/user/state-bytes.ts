/**
 * State codecs written by hand: what stage 1 keeps of a person is encoded at every commit that touched it and stored
 * for everybody, so it is packed more tightly than Avro's arrays would be (floats as raw little-endian bytes, times as
 * differences, hashes as six bytes).
 *
 * Invariant: encoding is a function of the state alone, so equal states give equal bytes. Writer and reader are shared
 * by all codecs of a thread: encoding and decoding are synchronous and never nest.
 */
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import { EngineError } from '../../schemas/errors.js';
import type { StateCodec } from '../../streams/runtime/operator.js';

export type { BinaryReader, BinaryWriter };

export interface StateLayout<S> {
  /** Operator, for error messages. */
  readonly name: string;
  /** Written into each cell; raise it with the layout. `read` must understand every version up to it. */
  readonly version: number;
  write(state: S, writer: BinaryWriter): void;
  read(reader: BinaryReader, version: number): S;
}

const writer = new BinaryWriter();
const reader = new BinaryReader();
const partWriter = new BinaryWriter();
const partReader = new BinaryReader();

/** A StateCodec of a hand-written layout. `decode` throws STATE_CORRUPT or STATE_VERSION_UNKNOWN. */
export function createLayoutCodec<S>(layout: StateLayout<S>): StateCodec<S> {
  return {
    version: layout.version,
    encode(state) {
      writer.openScratch();
      layout.write(state, writer);
      return writer.takeScratch();
    },
    decode(bytes, version) {
      if (version < 1 || version > layout.version) {
        throw new EngineError(
          'STATE_VERSION_UNKNOWN',
          `State of operator '${layout.name}' has version ${version}; this build reads 1 to ${layout.version}.`,
        );
      }
      try {
        reader.open(bytes, 0);
        const state = layout.read(reader, version);
        reader.close();
        return state;
      } catch (cause) {
        throw new EngineError('STATE_CORRUPT', `State of operator '${layout.name}' cannot be decoded.`, { cause });
      }
    },
  };
}

/** Most elements a decoded list may claim: above every bound of stage 1, so that corrupt bytes cannot ask for memory. */
const LIST_MAX = 4096;

/** Reads a length written by `writeLong`, refusing what no state of this stage can hold. */
export function readLength(from: BinaryReader): number {
  const length = from.readLong();
  if (length < 0 || length > LIST_MAX) from.fail(`a list of ${length} elements; expected 0 to ${LIST_MAX}`);
  return length;
}

export function writeStrings(values: readonly string[], into: BinaryWriter): void {
  into.writeLong(values.length);
  for (let i = 0; i < values.length; i++) into.writeString(values[i]);
}

/** What `writeStrings` writes, on its own: for parts of a state that are stored more often than they change. */
export function packStrings(values: readonly string[]): Buffer {
  return packPart(values, writeStrings);
}

/** A part of a state on its own. `write` must not pack parts in turn. */
export function packPart<T>(part: T, write: (part: T, writer: BinaryWriter) => void): Buffer {
  partWriter.openScratch();
  write(part, partWriter);
  return partWriter.takeScratch();
}

/** Reads a packed part back; throws CODEC_CORRUPT. */
export function unpackPart<T>(bytes: Buffer, read: (reader: BinaryReader) => T): T {
  partReader.open(bytes, 0);
  const part = read(partReader);
  partReader.close();
  return part;
}

export function readStrings(from: BinaryReader): string[] {
  const length = readLength(from);
  const values: string[] = [];
  for (let i = 0; i < length; i++) values.push(from.readString());
  return values;
}

/** Times close to a base: each as its distance from the one before, in ms. */
export function writeTimes(times: readonly number[], into: BinaryWriter): void {
  let previous = 0;
  for (let i = 0; i < times.length; i++) {
    into.writeLong(times[i]! - previous);
    previous = times[i]!;
  }
}

export function readTimes(from: BinaryReader, length: number): number[] {
  const times: number[] = [];
  let previous = 0;
  for (let i = 0; i < length; i++) {
    previous += from.readLong();
    times.push(previous);
  }
  return times;
}

/** The used part of a ring, oldest element first, as raw little-endian bytes: at most two copies. */
export function writeRing(
  ring: Uint32Array | Uint16Array,
  part: { oldest: number; count: number },
  into: BinaryWriter,
): void {
  const { oldest, count } = part;
  if (oldest < count) into.writeNumbers(ring, oldest, count);
  if (oldest > 0) into.writeNumbers(ring, 0, oldest);
}

/** Fills `target` with its first `count` elements. */
export function readRing(target: Uint32Array | Uint16Array, count: number, from: BinaryReader): void {
  const width = target.BYTES_PER_ELEMENT;
  const bytes = from.readFixed(count * width);
  for (let i = 0; i < count; i++) target[i] = width === 4 ? bytes.readUInt32LE(i * 4) : bytes.readUInt16LE(i * 2);
}

/** A null is a byte 0; anything else is a byte 1 and the text. */
export function writeNullableString(value: string | null, into: BinaryWriter): void {
  if (value === null) {
    into.writeByte(0);
  } else {
    into.writeByte(1);
    into.writeString(value);
  }
}

export function readNullableString(from: BinaryReader): string | null {
  return from.readBoolean() ? from.readString() : null;
}

export function writeNullableDouble(value: number | null, into: BinaryWriter): void {
  if (value === null) {
    into.writeByte(0);
  } else {
    into.writeByte(1);
    into.writeDouble(value);
  }
}

export function readNullableDouble(from: BinaryReader): number | null {
  return from.readBoolean() ? from.readDouble() : null;
}

export function writeStringMap(map: Readonly<Record<string, string>>, into: BinaryWriter): void {
  const names = Object.keys(map);
  into.writeLong(names.length);
  for (const name of names) {
    into.writeString(name);
    into.writeString(map[name]);
  }
}

export function readStringMap(from: BinaryReader): Record<string, string> {
  const length = readLength(from);
  const map: Record<string, string> = {};
  for (let i = 0; i < length; i++) {
    const name = from.readString();
    map[name] = from.readString();
  }
  return map;
}

/** The state of operators that keep none: their cell is never created. */
export const NO_STATE: StateCodec<never> = {
  version: 1,
  encode() {
    throw new EngineError('INVARIANT_VIOLATED', 'An operator without state has a cell.');
  },
  decode() {
    throw new EngineError('STATE_CORRUPT', 'A cell is stored for an operator that keeps no state.');
  },
};
