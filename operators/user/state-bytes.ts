/**
 * Parts of the states of stage 1: lists of texts, times as differences, rings as raw little-endian bytes, nullable
 * fields. Lengths are bounded when they are read, so that corrupt bytes cannot ask for memory.
 */
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import { lastingArrays } from '../pooled-arrays.js';

const partWriter = new BinaryWriter();
const partReader = new BinaryReader();

/** Most elements a decoded list may claim: above every bound of stage 1, so that corrupt bytes cannot ask for memory. */
export const LIST_MAX = 4096;

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
  return partWriter.takeScratch(lastingArrays);
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
  from.readNumbers(target, count);
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
