/**
 * Compression of record batches: gzip by Node, snappy by snappyjs, zstd where Node brings it (22.15 and newer).
 *
 * lz4 is left out: the JavaScript packages for its frame format are no longer kept. Java writes snappy in blocks behind a
 * header of its own ("xerial"), librdkafka writes it bare: both are read, the first is written.
 */
import { compress as compressSnappy, uncompress as uncompressSnappy } from 'snappyjs';
import * as zlib from 'node:zlib';
import { EngineError } from '../../schemas/errors.js';

export const COMPRESSIONS = ['none', 'gzip', 'snappy', 'zstd'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** A batch is at most a few MB; more, decompressed, is an attack or damage. */
const DECOMPRESSED_BYTES_MAX = 256 * 1_048_576;
/** Most of the gain for a third of the time of the default level. */
const GZIP_LEVEL = 1;
const XERIAL_HEADER = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
const XERIAL_BLOCK_BYTES = 32 * 1_024;

interface Zstd {
  zstdCompressSync?(bytes: Uint8Array): Buffer;
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Buffer;
}
// Absent from the types of the oldest Node that is supported, as it is from that Node itself.
const zstd = zlib as Zstd;

/** Throws CONFIG_INVALID where this Node cannot write it. */
export function requireCompression(compression: Compression): void {
  if (compression !== 'zstd' || zstd.zstdCompressSync !== undefined) return;
  throw new EngineError(
    'CONFIG_INVALID',
    `Compression zstd needs Node 22.15 or newer, this is ${process.version}; choose gzip or snappy.`,
  );
}

export function compress(compression: Compression, bytes: Buffer): Buffer {
  switch (compression) {
    case 'none':
      return bytes;
    case 'gzip':
      return zlib.gzipSync(bytes, { level: GZIP_LEVEL });
    case 'snappy':
      return compressXerial(bytes);
    case 'zstd':
      requireCompression(compression);
      return zstd.zstdCompressSync!(bytes);
  }
}

/** Throws CODEC_CORRUPT. */
export function decompress(compression: Compression, bytes: Buffer): Buffer {
  const maxOutputLength = DECOMPRESSED_BYTES_MAX;
  try {
    switch (compression) {
      case 'none':
        return bytes;
      case 'gzip':
        return zlib.gunzipSync(bytes, { maxOutputLength });
      case 'snappy':
        return decompressSnappy(bytes);
      case 'zstd':
        if (zstd.zstdDecompressSync === undefined) throw new Error(`Node ${process.version} cannot read zstd`);
        return zstd.zstdDecompressSync(bytes, { maxOutputLength });
    }
  } catch (error) {
    throw new EngineError(
      'CODEC_CORRUPT',
      `A batch of records cannot be decompressed (${compression}): ${error instanceof Error ? error.message : String(error)}.`,
      { cause: error },
    );
  }
}

function compressXerial(bytes: Buffer): Buffer {
  const parts: Buffer[] = [XERIAL_HEADER];
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) {
    const block = Buffer.from(compressSnappy(bytes.subarray(at, at + XERIAL_BLOCK_BYTES)));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

function decompressSnappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, 8).equals(XERIAL_HEADER.subarray(0, 8))) {
    return Buffer.from(uncompressSnappy(bytes, DECOMPRESSED_BYTES_MAX));
  }
  const parts: Buffer[] = [];
  let total = 0;
  for (let at = XERIAL_HEADER.length; at < bytes.length;) {
    const end = at + 4 + bytes.readInt32BE(at);
    const part = uncompressSnappy(bytes.subarray(at + 4, end), DECOMPRESSED_BYTES_MAX);
    total += part.length;
    if (total > DECOMPRESSED_BYTES_MAX) throw new Error(`it holds more than ${DECOMPRESSED_BYTES_MAX} bytes`);
    parts.push(Buffer.from(part));
    at = end;
  }
  return Buffer.concat(parts, total);
}
