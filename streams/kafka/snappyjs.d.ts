/** What compression.ts uses of snappyjs, which brings no types. */
declare module 'snappyjs' {
  export function compress(bytes: Uint8Array): Uint8Array;
  /** Throws when the text would be longer than `lengthMax`. */
  export function uncompress(bytes: Uint8Array, lengthMax?: number): Uint8Array;
}
