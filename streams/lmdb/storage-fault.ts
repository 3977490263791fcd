/**
 * What a failed write means: a full disk, which passes, or a directory that cannot be used.
 *
 * lmdb says ENOSPC only when nothing fitted; a write that was cut short comes as a general input/output error. So an
 * error on a disk with no room for the write is a full disk, whatever it is called.
 */
import { statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';

const ENOSPC = 28;
const MDB_MAP_FULL = -30_792;
/** A write also touches pages of the tree and of the list of free pages. */
const WRITE_OVERHEAD_BYTES = 1_048_576;
/** What stat counts blocks in, on every system. */
const BLOCK_BYTES = 512;

export function measureDirectory(directory: string): { readonly bytesOnDisk: number; readonly freeDiskBytes: number } {
  const { bavail, bsize } = statfsSync(directory);
  const { blocks } = statSync(join(directory, 'data.mdb'));
  return { bytesOnDisk: blocks * BLOCK_BYTES, freeDiskBytes: bavail * bsize };
}

export function writeFailed(directory: string, cause: unknown, bytes: number): EngineError {
  const { freeDiskBytes } = measureDirectory(directory);
  const text = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const full = code === ENOSPC || code === MDB_MAP_FULL || freeDiskBytes < bytes + WRITE_OVERHEAD_BYTES;
  if (!full) return directoryInvalid(directory, cause);
  return new EngineError(
    'STORAGE_FULL',
    `Data directory '${directory}' has ${freeDiskBytes} bytes left, and a write of about ${bytes} bytes failed ` +
      `(${text}); nothing of it was stored. Free space or shorten the retention of topics.`,
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

/** lmdb rejects with a general error that carries a promise of the real one. */
export async function rethrowCause(error: unknown): Promise<never> {
  if (error instanceof Error && 'commitError' in error) await error.commitError;
  throw error;
}
