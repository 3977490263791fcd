/**
 * Growth of the typed arrays that tables are made of: doubled, so that adding n rows copies O(n) numbers in all.
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
