/**
 * What a failed write means: a full disk, which passes, or a directory that cannot be used.
 *
 * lmdb says ENOSPC only when nothing fitted; a write that was cut short comes as a general input/output error. So an
 * error on a disk with no room for the write is a full disk, whatever it is called.
 */
import { statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';

/** As lmdb and as Node tell that the disk is full. */
const ENOSPC: readonly unknown[] = [28, 'ENOSPC'];
const MDB_MAP_FULL = -30_792;
/** A write also touches pages of the tree and of the list of free pages. */
const WRITE_OVERHEAD_BYTES = 1_048_576;
/** What stat counts blocks in, on every system. */
const BLOCK_BYTES = 512;

export function measureDirectory(directory: string): { readonly bytesOnDisk: number; readonly freeDiskBytes: number } {
  const { blocks } = statSync(join(directory, 'data.mdb'));
  return { bytesOnDisk: blocks * BLOCK_BYTES, freeDiskBytes: freeBytesOf(directory) };
}

export function freeBytesOf(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

export function writeFailed(directory: string, cause: unknown, bytes: number): EngineError {
  let freeDiskBytes: number;
  try {
    freeDiskBytes = freeBytesOf(directory);
  } catch {
    // There is no such directory any more.
    return directoryInvalid(directory, cause);
  }
  const text = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const full = ENOSPC.includes(code) || code === MDB_MAP_FULL || freeDiskBytes < bytes + WRITE_OVERHEAD_BYTES;
  if (!full) return directoryInvalid(directory, cause);
  return new EngineError(
    'STORAGE_FULL',
    `Data directory '${directory}' has ${freeDiskBytes} bytes left, and a write of about ${bytes} bytes failed ` +
      `(${text}). Free space or shorten the retention of topics.`,
    { cause, context: { directory, freeDiskBytes } },
  );
}

export function directoryInvalid(directory: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new EngineError('DATA_DIRECTORY_INVALID', `Data directory '${directory}' cannot be used: ${text}.`, {
    cause,
    context: { directory },
  });
}
