/**
 * Compact binary codecs for operator states: fields written one after another, no names, no objects in between.
 *
 * Writing goes through one writer that is reused for all states (encoding is synchronous), so a commit allocates only
 * the bytes it stores. Invariant: what is decoded equals what was live, bit for bit; states therefore hold numbers in
 * the very width they are stored in (a Float32Array is stored as f32), or a replay that cuts batches elsewhere would
 * compute something else. Wrong bytes end in STATE_CORRUPT, an unknown version in STATE_VERSION_UNKNOWN.
 */
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { StateCodec } from '../../streams/runtime/operator.js';

const writer = new BinaryWriter();
const reader = new BinaryReader();

export interface PackedLayout<S> {
  readonly version: number;
  write(writer: BinaryWriter, state: S): void;
  /** `version` is at most the layout's own. */
  read(reader: BinaryReader, version: number): S;
}

/** @param operator named in errors. */
export function createPackedCodec<S>(operator: string, layout: PackedLayout<S>): StateCodec<S> {
  return {
    version: layout.version,
    encode(state) {
      writer.openScratch();
      layout.write(writer, state);
      return writer.takeScratch();
    },
    decode(bytes, version) {
      if (version < 1 || version > layout.version) {
        throw new EngineError(
          'STATE_VERSION_UNKNOWN',
          `A state of operator '${operator}' has version ${version}; this build reads 1 to ${layout.version}.`,
          { context: { operator, version } },
        );
      }
      try {
        reader.open(bytes, 0);
        const state = layout.read(reader, version);
        reader.close();
        return state;
      } catch (cause) {
        if (!isEngineError(cause, 'CODEC_CORRUPT')) throw cause;
        throw new EngineError('STATE_CORRUPT', `A state of operator '${operator}' cannot be decoded.`, {
          cause,
          context: { operator },
        });
      }
    },
  };
}

type Floats = Float32Array | Float64Array;

/** Writes the first `count` numbers as they stand in memory (little-endian on every platform Node runs on). */
export function writeFloats(target: BinaryWriter, floats: Floats, count = floats.length): void {
  target.writeNumbers(floats, 0, count);
}

/** Fills the first `count` numbers. Throws CODEC_CORRUPT when one is not finite: NaN is never a state. */
export function readFloats<A extends Floats>(source: BinaryReader, floats: A, count = floats.length): A {
  const bytes = source.readFixed(count * floats.BYTES_PER_ELEMENT);
  new Uint8Array(floats.buffer, floats.byteOffset, bytes.length).set(bytes);
  for (let k = 0; k < count; k++)
    if (!Number.isFinite(floats[k]!)) source.fail(`number ${k} of a state is ${floats[k]}`);
  return floats;
}
