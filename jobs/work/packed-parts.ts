/**
 * Named byte arrays as one: what travels to other processes and back.
 *
 *     u32 length of the header │ header: JSON [[name, bytes], …] │ parts, each from a multiple of 8 bytes
 *
 * Little-endian, as typed arrays are in memory. Read parts are views of the whole, aligned for every typed array.
 */
import { EngineError } from '../../schemas/errors.js';

export type Parts = Readonly<Record<string, Uint8Array>>;

const ALIGNMENT = 8;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

export function packParts(parts: Readonly<Record<string, ArrayBufferView>>): Uint8Array {
  const entries = Object.entries(parts);
  const header = Buffer.from(JSON.stringify(entries.map(([name, { byteLength }]) => [name, byteLength])));
  let place = aligned(4 + header.length);
  const size = entries.reduce((sum, [, { byteLength }]) => sum + aligned(byteLength), place);
  const packed = new Uint8Array(size);
  new DataView(packed.buffer).setUint32(0, header.length, true);
  packed.set(header, 4);
  for (const [, { buffer, byteOffset, byteLength }] of entries) {
    packed.set(new Uint8Array(buffer, byteOffset, byteLength), place);
    place += aligned(byteLength);
  }
  return packed;
}

/** Throws MODEL_INVALID for bytes that `packParts` did not write. */
export function unpackParts(packed: Uint8Array): Parts {
  // A view need not start where a double may.
  const bytes = packed.byteOffset % ALIGNMENT === 0 ? packed : packed.slice();
  try {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    const header = JSON.parse(Buffer.from(bytes.subarray(4, 4 + length)).toString('utf8')) as [string, number][];
    let place = aligned(4 + length);
    const parts = header.map(([name, size]) => {
      const part = bytes.subarray(place, place + size);
      if (part.length !== size) throw new RangeError(`part '${name}' is cut short`);
      place += aligned(size);
      return [name, part] as const;
    });
    return Object.fromEntries(parts);
  } catch (cause) {
    throw new EngineError('MODEL_INVALID', `${packed.length} bytes sent to a training worker cannot be read.`, {
      cause,
    });
  }
}

export function intsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Int32Array.BYTES_PER_ELEMENT);
}

export function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Float32Array.BYTES_PER_ELEMENT);
}

export function doublesOf(bytes: Uint8Array): Float64Array {
  return new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Float64Array.BYTES_PER_ELEMENT);
}

export function jsonOf(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes).toString('utf8'));
}
