/**
 * One schema, ready to write and read values in Avro's binary encoding: the piece that the codec, record types and
 * state codecs share. It compiles on first use, so a process pays only for the records it meets.
 *
 * Encoding and decoding are synchronous and share one writer and one reader for the whole process; a getter on a value
 * that encodes another value is not supported.
 */
import type { ParsedSchema } from './avro.js';
import { BinaryReader } from './binary-reader.js';
import { BinaryWriter, TARGET_FULL, VALUE_INVALID } from './binary-writer.js';
import { compileReader, constructorOf, type ReadMode, type ReadValue } from './compile-reader.js';
import { compileWriter, type WriteValue } from './compile-writer.js';
import { findFault, quoteValue } from './describe-fault.js';
import { EngineError, type ErrorCode } from './errors.js';
import type { RecordView } from './record-view.js';

const WRITER = new BinaryWriter();
const READER = new BinaryReader();

export interface BinaryTypeOptions {
  /** Written before each value; the caller checks it when reading. */
  readonly header?: Buffer;
  /** Put on the prototype of decoded values as `kind`. */
  readonly kind?: string;
  /** Code of the error for a value that does not fit. */
  readonly invalidCode?: ErrorCode;
}

export class BinaryType<T, D = T> {
  private writeValue: WriteValue | undefined;
  private readOwn: ReadValue | undefined;

  /** @param name what an error calls the value */
  constructor(
    readonly name: string,
    readonly schema: ParsedSchema,
    private readonly options: BinaryTypeOptions = {},
  ) {
    if (options.kind !== undefined && schema.node.type === 'record') {
      for (const mode of ['values', 'view'] as const) {
        Object.defineProperty(constructorOf(schema.node, mode).prototype, 'kind', { value: options.kind });
      }
    }
  }

  encode(value: D): Buffer {
    WRITER.openScratch();
    this.writeTo(value, WRITER);
    return WRITER.takeScratch();
  }

  /** Returns the end position, or -1 when the value does not fit; then bytes from `position` on are undefined. */
  encodeInto(value: D, target: Buffer, position: number): number {
    WRITER.openTarget(target, position);
    try {
      this.writeTo(value, WRITER);
    } catch (error) {
      if (error === TARGET_FULL) return -1;
      throw error;
    } finally {
      WRITER.closeTarget();
    }
    return WRITER.position;
  }

  /** Reads a value that fills the bytes from `position` to their end. */
  decode(bytes: Uint8Array, position = 0): T {
    this.readOwn ??= this.readerOf(this.schema);
    return read(this.readOwn, bytes, position) as T;
  }

  /** Decoder for values of another version of the schema; SCHEMA_INCOMPATIBLE lists what stands against it. */
  decoderOf(writer: ParsedSchema): (bytes: Uint8Array, position?: number) => T {
    const readValue = this.readerOf(writer);
    return (bytes, position = 0) => read(readValue, bytes, position) as T;
  }

  /** As `decoderOf`, of views (record-view.ts). */
  viewerOf(writer: ParsedSchema): (bytes: Uint8Array, position?: number) => RecordView<T> {
    const readView = this.readerOf(writer, 'view');
    return (bytes, position = 0) => read(readView, bytes, position) as RecordView<T>;
  }

  private readerOf(writer: ParsedSchema, mode: ReadMode = 'values'): ReadValue {
    const compiled = compileReader(writer.node, this.schema.node, mode);
    if (typeof compiled === 'function') return compiled;
    const faults = compiled.map((fault) => `${fault.path}: ${fault.reason}`).join('; ');
    throw new EngineError('SCHEMA_INCOMPATIBLE', `${this.name} cannot be read as another version wrote it: ${faults}`);
  }

  /** Writes a value where a writer stands; after an error what stands behind that is undefined. */
  writeTo(value: D, writer: BinaryWriter): void {
    this.writeValue ??= compileWriter(this.schema.node);
    const { header } = this.options;
    try {
      if (header !== undefined) writer.writeFixed(header);
      this.writeValue(writer, value);
    } catch (error) {
      throw error === VALUE_INVALID ? this.invalid(value) : error;
    }
  }

  private invalid(value: D): EngineError {
    const fault = findFault(this.schema.node, value);
    const path = fault === undefined || fault.path === '' ? this.name : `${this.name}.${fault.path}`;
    const detail =
      fault === undefined
        ? 'changed while it was written'
        : `is ${quoteValue(fault.value)}; expected ${fault.expected}`;
    return new EngineError(this.options.invalidCode ?? 'EVENT_INVALID', `${path} ${detail}`, {
      context: { field: fault?.path, record: this.name },
    });
  }
}

function read(readValue: ReadValue, bytes: Uint8Array, position: number): unknown {
  READER.open(bytes, position);
  let value: unknown;
  try {
    value = readValue(READER);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // A recursive schema lets a few bytes nest as deep as they are long.
    return READER.fail('the value is nested deeper than can be read');
  }
  READER.close();
  return value;
}
