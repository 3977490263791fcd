/**
 * The bytes a model is saved as: typed arrays and JSON to files and back.
 *
 * Arrays are stored in little-endian order, as every machine Node runs on has them in memory. Reading copies, so a model
 * never looks into a buffer that belongs to somebody else; a missing file or another length is MODEL_INVALID.
 */
import { EngineError } from '../../schemas/errors.js';
import type { ModelArtefact } from './model.js';

/** A copy of the array's bytes. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength).slice();
}

export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** `length` float32 of a file. */
export function readFloats(artefact: ModelArtefact, file: string, length: number): Float32Array {
  return new Float32Array(readExactly(artefact, file, length * Float32Array.BYTES_PER_ELEMENT));
}

/** `length` int32 of a file; as many as there are when the length is not known beforehand. */
export function readInts(artefact: ModelArtefact, file: string, length?: number): Int32Array {
  return new Int32Array(
    readExactly(artefact, file, length === undefined ? undefined : length * Int32Array.BYTES_PER_ELEMENT),
  );
}

/** What `jsonBytes` wrote; its shape is the reader's to check. */
export function readJson(artefact: ModelArtefact, file: string): unknown {
  const bytes = requireFile(artefact, file);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown;
  } catch (cause) {
    throw new EngineError('MODEL_INVALID', `File '${file}' of a ${artefact.algorithm} model is not JSON.`, { cause });
  }
}

function requireFile({ files, algorithm }: ModelArtefact, file: string): Uint8Array {
  const bytes = files[file];
  if (bytes !== undefined) return bytes;
  throw new EngineError('MODEL_INVALID', `A ${algorithm} model has no file '${file}'.`);
}

/** Copied, because a slice of a pooled buffer need not start where a float may. */
function readExactly(artefact: ModelArtefact, file: string, length: number | undefined): ArrayBuffer {
  // A model of no users may have been read without what would be empty.
  if (length === 0 && artefact.files[file] === undefined) return new ArrayBuffer(0);
  const bytes = requireFile(artefact, file);
  if (length === undefined ? bytes.byteLength % 4 === 0 : bytes.byteLength === length) return bytes.slice().buffer;
  throw new EngineError(
    'MODEL_INVALID',
    `File '${file}' of a ${artefact.algorithm} model has ${bytes.byteLength} bytes, expected ${length ?? 'a multiple of 4'}.`,
  );
}
