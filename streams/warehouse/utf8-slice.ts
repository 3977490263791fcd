/** Text as bytes of somebody's buffer, on its way into a column without becoming a string. */

/** UTF-8 from `start` to `end`. Read during the call alone. */
export interface Utf8Slice {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Up to here a loop is cheaper than a call into the runtime. */
const LOOPED_BYTES_MAX = 48;

/** Copies the text to `at`, where it must have room. Returns the place behind it. */
export function copySlice({ bytes, start, end }: Utf8Slice, to: Buffer, at: number): number {
  const size = end - start;
  if (size > LOOPED_BYTES_MAX) bytes.copy(to, at, start, end);
  else for (let i = 0; i < size; i++) to[at + i] = bytes[start + i]!;
  return at + size;
}

export function sliceOf(text: string): Utf8Slice {
  const bytes = Buffer.from(text, 'utf8');
  return { bytes, start: 0, end: bytes.length };
}
