/**
 * State codecs written by hand: fields one after another, no names, no objects in between.
 *
 * States are encoded at every commit that touched them and stored for everybody and everything, so they are packed more
 * tightly than Avro's arrays would be. A row writes its cells straight into itself (`encodeInto`); `encode` is for
 * cells that travel alone. Writer and reader are shared by all codecs of a thread: encoding and decoding are
 * synchronous and never nest.
 *
 * Invariants: encoding is a function of the state alone, so equal states give equal bytes; what is decoded equals what
 * was live, bit for bit, or a replay that cuts batches elsewhere would compute something else: states hold numbers in
 * the very width they are stored in. Wrong bytes end in STATE_CORRUPT, an unknown version in STATE_VERSION_UNKNOWN.
 */
import { BinaryReader } from '../schemas/binary-reader.js';
import { BinaryWriter } from '../schemas/binary-writer.js';
import { EngineError, isEngineError } from '../schemas/errors.js';
import type { StateCodec, StateReader } from '../streams/runtime/operator.js';

export type { BinaryReader, BinaryWriter };

export interface StateLayout<S> extends ReadLayout<S> {
  write(state: S, writer: BinaryWriter): void;
}

export interface ReadLayout<S> {
  /** Operator, for error messages. */
  readonly name: string;
  /** Written into each cell; raise it with the layout. `read` must understand every version up to it. */
  readonly version: number;
  read(reader: BinaryReader, version: number): S;
}

const ownWriter = new BinaryWriter();
const ownReader = new BinaryReader();

/** A StateCodec of a hand-written layout. `decode` throws STATE_CORRUPT or STATE_VERSION_UNKNOWN. */
export function createLayoutCodec<S>(layout: StateLayout<S>): StateCodec<S> {
  return {
    ...createLayoutReader(layout),
    encode(state) {
      ownWriter.openScratch();
      layout.write(state, ownWriter);
      return ownWriter.takeScratch();
    },
    encodeInto: (state, writer) => layout.write(state, writer),
  };
}

/** As above for those who only read. */
export function createLayoutReader<S>(layout: ReadLayout<S>): StateReader<S> {
  return {
    version: layout.version,
    // A reader gives numbers, texts and copies.
    decodesByCopy: true,
    decode(bytes, version) {
      if (version < 1 || version > layout.version) throw versionUnknown(layout, version);
      try {
        ownReader.open(bytes, 0);
        const state = layout.read(ownReader, version);
        ownReader.close();
        return state;
      } catch (cause) {
        if (!isEngineError(cause, 'CODEC_CORRUPT')) throw cause;
        throw new EngineError('STATE_CORRUPT', `A state of operator '${layout.name}' cannot be decoded.`, {
          cause,
          context: { operator: layout.name },
        });
      }
    },
  };
}

function versionUnknown({ name, version: own }: ReadLayout<unknown>, version: number): EngineError {
  return new EngineError(
    'STATE_VERSION_UNKNOWN',
    `A state of operator '${name}' has version ${version}; this build reads 1 to ${own}.`,
    { context: { operator: name, version } },
  );
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

type Floats = Float32Array | Float64Array;

/** Writes the first `count` numbers as they stand in memory (little-endian on every platform Node runs on). */
export function writeFloats(target: BinaryWriter, floats: Floats, count = floats.length): void {
  target.writeNumbers(floats, 0, count);
}

/** Fills the first `count` numbers. Throws CODEC_CORRUPT when one is not finite: NaN is never a state. */
export function readFloats<A extends Floats>(source: BinaryReader, floats: A, count = floats.length): A {
  source.readNumbers(floats, count);
  for (let k = 0; k < count; k++)
    if (!Number.isFinite(floats[k]!)) source.fail(`number ${k} of a state is ${floats[k]}`);
  return floats;
}
