/**
 * Growth of the typed arrays that tables are made of, and of buffers that are written to: doubled, so that adding n entries copies
 * O(n) of them in all.
 */

type TypedArray = Float64Array | Float32Array | Uint32Array | Int32Array | Uint16Array | Uint8Array;

/** A copy of at least `length` numbers, doubled from the present one; the array itself when it is long enough. */
export function grown<A extends TypedArray>(array: A, length: number, fill = 0): A {
  if (array.length >= length) return array;
  const longer = new (array.constructor as new (length: number) => A)(Math.max(length, array.length * 2));
  longer.set(array);
  if (fill !== 0) longer.fill(fill, array.length);
  return longer;
}

/** A buffer of at least `length` bytes with the first `used` of this one, what follows being anything; itself when long enough. */
export function grownBuffer(buffer: Buffer, used: number, length: number): Buffer {
  if (length <= buffer.length) return buffer;
  const larger = Buffer.allocUnsafe(Math.max(length, 2 * buffer.length));
  buffer.copy(larger, 0, 0, used);
  return larger;
}
