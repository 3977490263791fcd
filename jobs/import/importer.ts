/**
 * Appends a file to the log so that it can be cut off, or repeated a day later, without doubling.
 *
 * Every record carries the identity (file hash, row, place in row); tasks keep the highest of each file as part of
 * their own state and drop what is not above it. So importing again is always correct; a progress note beside the
 * state, written after each durable block, only saves the work of sending rows again.
 * Rows that do not fit the mapping are counted, kept as dead letters with their reason, and do not stop the import.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { encodeRecord } from '../../schemas/codec.js';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { EventLog, OutgoingRecord } from '../../streams/log/event-log.js';
import type { StateStore } from '../../streams/state/state-store.js';
import { readMapping } from './mapping.js';
import { RowConverter } from './row-converter.js';
import type { ConvertedRecord } from './row-converter.js';
import { openRows } from './rows.js';
import type { Row } from './rows.js';

export interface ImportTarget {
  readonly log: EventLog;
  readonly store: StateStore;
  readonly userEvents: string;
  readonly itemEvents: string;
  readonly deadLetters: string;
}

export interface ImportOptions {
  readonly file: string;
  readonly mapping: string;
  /** Rows to read at most. */
  readonly limit: number;
  /** Rows made durable together; default 1,000. 1 lets a replay act on each row before the next. */
  readonly blockRows?: number;
  /** Called before a row's records are taken: where a replay waits for its time. */
  readonly beforeRow?: (records: readonly ConvertedRecord[]) => Promise<void>;
  /** Called after each block. */
  readonly onProgress?: (result: ImportResult) => void | Promise<void>;
}

export interface ImportResult {
  rows: number;
  records: number;
  /** Rows an earlier import of the same file had finished. */
  skipped: number;
  rejected: number;
  /** The first reasons, for people. */
  readonly reasons: string[];
}

const BLOCK_ROWS = 1_000;
/** Rows between two progress notes: the note is only a shortcut, so it need not be exact. */
const NOTE_ROWS = 1_000;
const REASONS_MAX = 10;
/** Characters of the hash that name a file: enough to never meet two by chance. */
const FILE_ID_LENGTH = 16;

export async function importFile(target: ImportTarget, options: ImportOptions): Promise<ImportResult> {
  const mapping = readMapping(options.mapping);
  const fileId = await fileIdOf(options.file);
  const document = `import/${fileId}/${mapping.name}`;
  const done = Number((await target.store.readDocument(document)) ?? 0);
  const { columns, rows } = await openRows(options.file, mapping);
  const block = new ImportBlock(target, `file/${fileId}/${mapping.name}`);
  const converter = new RowConverter(mapping, columns, fileId);
  const result: ImportResult = { rows: 0, records: 0, skipped: 0, rejected: 0, reasons: [] };
  const blockRows = options.blockRows ?? BLOCK_ROWS;
  let last = done;
  let noted = done;
  const finishBlock = async (isLast: boolean): Promise<void> => {
    result.records += await block.append();
    if (last - noted >= NOTE_ROWS || (isLast && last > noted)) {
      await target.store.writeDocument(document, String(last));
      noted = last;
    }
    await options.onProgress?.(result);
  };
  for await (const row of rows) {
    if (row.number > options.limit) break;
    result.rows++;
    if (row.number <= done) {
      converter.pass(row);
      result.skipped++;
      continue;
    }
    const records = convertRow(row, converter, block, result);
    if (options.beforeRow !== undefined) await options.beforeRow(records);
    block.add(row, records);
    last = row.number;
    if (row.number % blockRows === 0) await finishBlock(false);
  }
  await finishBlock(true);
  return result;
}

/** The row's records; none, and a dead letter, when it does not fit. */
function convertRow(
  row: Row,
  converter: RowConverter,
  block: ImportBlock,
  result: ImportResult,
): readonly ConvertedRecord[] {
  try {
    return converter.convert(row);
  } catch (error) {
    if (!isEngineError(error)) throw error;
    result.rejected++;
    if (result.reasons.length < REASONS_MAX) result.reasons.push(error.message);
    block.reject(row, error.code, error.message);
    return [];
  }
}

/**
 * First characters of the SHA-256 of the file's bytes, as they lie on disk. Throws FILE_UNREADABLE, also for gzip data
 * that are damaged or end too early: a part of a file has another identity than the whole, which would count it again.
 */
export async function fileIdOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  const hashed = async function* (chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  };
  const readAll = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of chunks) void chunk;
  };
  try {
    if (path.endsWith('.gz')) await pipeline(createReadStream(path), hashed, createGunzip(), readAll);
    else await pipeline(createReadStream(path), hashed, readAll);
  } catch (cause) {
    throw new EngineError('FILE_UNREADABLE', `File '${path}' cannot be read: ${(cause as Error).message}.`, { cause });
  }
  return hash.digest('hex').slice(0, FILE_ID_LENGTH);
}

/** Records on their way to the log, with their identities. */
class ImportBlock {
  private users: OutgoingRecord[] = [];
  private items: OutgoingRecord[] = [];
  private letters: OutgoingRecord[] = [];

  constructor(
    private readonly target: ImportTarget,
    private readonly source: string,
  ) {}

  add(row: Row, records: readonly ConvertedRecord[]): void {
    records.forEach(({ stream, key, value }, index) => {
      const origin = { source: this.source, operator: 'import', offset: row.number, index };
      (stream === 'user' ? this.users : this.items).push({ key, value, origin });
    });
  }

  reject(row: Row, code: string, reason: string): void {
    const value = encodeRecord('DeadLetter', {
      topic: this.source,
      partition: 0,
      offset: row.number,
      key: '',
      code,
      reason,
      at: 0,
      value: Buffer.from(JSON.stringify(row.values)),
    });
    const origin = { source: this.source, operator: 'import', offset: row.number, index: 0 };
    this.letters.push({ key: this.source, value, origin });
  }

  async append(): Promise<number> {
    const { log, userEvents, itemEvents, deadLetters } = this.target;
    const { users, items, letters } = this;
    this.users = [];
    this.items = [];
    this.letters = [];
    if (items.length > 0) await log.append(itemEvents, items);
    if (users.length > 0) await log.append(userEvents, users);
    if (letters.length > 0) await log.append(deadLetters, letters);
    return users.length + items.length;
  }
}
