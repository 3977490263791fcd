/**
 * A list of short texts in the form in which it is stored: one after another, each with its length in front.
 *
 * A state that names a hundred items is encoded at every commit that touched it. As an array of strings that is a
 * hundred strings to write, each somewhere else on the heap; like this it is one copy. Finding a text walks over those
 * before it, so this is for lists that are searched by something else, such as hashes, or not at all.
 */
import { BinaryReader } from '../schemas/binary-reader.js';
import { BinaryWriter, longWidth } from '../schemas/binary-writer.js';
import { decodedArrays, lastingArrays } from './pooled-arrays.js';

const NOTHING = Buffer.alloc(0);
const BYTES_AT_START = 64;
const ownWriter = new BinaryWriter();
const ownReader = new BinaryReader();

export class PackedTexts {
  private bytes: Buffer = NOTHING;
  private size = 0;

  /** Reads `count` texts and gives each to `visit`. @throws CODEC_CORRUPT */
  read(reader: BinaryReader, count: number, visit: (text: string, place: number) => void): void {
    const start = reader.position;
    for (let place = 0; place < count; place++) visit(reader.readString(), place);
    this.take(reader, start);
  }

  /** As above, of texts that nobody looks at yet. @throws CODEC_CORRUPT */
  readUnseen(reader: BinaryReader, count: number): void {
    const start = reader.position;
    for (let place = 0; place < count; place++) reader.readPlace();
    this.take(reader, start);
  }

  write(writer: BinaryWriter): void {
    writer.writeSlice(this.bytes, 0, this.size);
  }

  at(place: number): string {
    ownReader.open(this.bytes, this.startOf(place));
    const text = ownReader.readString();
    ownReader.open(NOTHING, 0);
    return text;
  }

  /** All of them, in order. */
  all(): string[] {
    const texts: string[] = [];
    ownReader.open(this.bytes, 0);
    while (ownReader.position < this.size) texts.push(ownReader.readString());
    ownReader.open(NOTHING, 0);
    return texts;
  }

  toJSON(): string[] {
    return this.all();
  }

  /** Puts a text in the place of another, or behind the last. */
  set(place: number, text: string): void {
    const start = this.startOf(place);
    this.replace(start, start === this.size ? start : this.endOf(start), text);
  }

  /** Puts a text before that of a place, or behind the last. */
  insert(place: number, text: string): void {
    const start = this.startOf(place);
    this.replace(start, start, text);
  }

  /** There must be one. */
  removeFirst(): void {
    const end = this.endOf(0);
    this.bytes.copyWithin(0, end, this.size);
    this.size -= end;
  }

  /** What a reader has passed over since `start`. */
  private take(reader: BinaryReader, start: number): void {
    this.size = reader.position - start;
    this.bytes = decodedArrays.allocUnsafe(this.size);
    reader.copyBack(start, this.bytes);
  }

  /** Puts a text in the place of the bytes from `start` to `end`. */
  private replace(start: number, end: number, text: string): void {
    const width = widthOf(text);
    const size = this.size + width - (end - start);
    if (size > this.bytes.length) this.grow(size);
    if (end < this.size) this.bytes.copyWithin(start + width, end, this.size);
    this.size = size;
    ownWriter.openTarget(this.bytes, start);
    ownWriter.writeString(text);
    ownWriter.closeTarget();
  }

  private startOf(place: number): number {
    let start = 0;
    for (let i = 0; i < place; i++) start = this.endOf(start);
    return start;
  }

  private endOf(start: number): number {
    const first = this.bytes[start]!;
    if (first < 0x80) return start + 1 + (first >> 1);
    ownReader.open(this.bytes, start);
    const length = ownReader.readLong();
    return ownReader.position + length;
  }

  private grow(size: number): void {
    const larger = lastingArrays.allocUnsafe(Math.max(BYTES_AT_START, this.bytes.length * 2, size));
    this.bytes.copy(larger, 0, 0, this.size);
    this.bytes = larger;
  }
}

function widthOf(text: string): number {
  const size = Buffer.byteLength(text, 'utf8');
  return longWidth(size) + size;
}
