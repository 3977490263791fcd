/**
 * Keys of the embedded store's tables, built so that their byte order is the order the port promises.
 *
 *   task table   'r' + row key as UTF-8                                   rows, by UTF-8 bytes
 *                't' + time u48 (shifted) + operator + 0 + key            timers, by (time, operator, key)
 *   heads        'h' + stage + 0 + partition u32
 *   documents    'd' + name
 *
 * The leading letter keeps an empty row key storable, since lmdb refuses empty keys.
 */
import { EngineError } from '../../schemas/errors.js';
import type { TaskId, TimerEntry } from '../state/state-store.js';
import { decodeTimer, encodeTimer, encodeTimerBound } from '../state/timer-bytes.js';
import { KEY_BYTES_MAX } from './table.js';

const ROW = 0x72;
const TIMER = 0x74;
const HEAD = 0x68;
const DOCUMENT = 0x64;

/** The letter before a timer. */
const TIMER_LEAD = 1;

/** UTF-16 units that surely fit, at three bytes each: most keys need not be measured. */
const SAFE_LENGTH = Math.floor((KEY_BYTES_MAX - 1) / 3);

export function rowKey(key: string): Buffer {
  return prefixed(ROW, key);
}

/** Throws EVENT_INVALID for a key that is too long for a row. */
export function requireRowKey(key: string): void {
  if (key.length > SAFE_LENGTH) requireKeyLength(Buffer.byteLength(key) + 1, key);
}

export function rowKeyText(bytes: Buffer): string {
  return bytes.toString('utf8', 1);
}

/** Behind the last row. */
export const ROWS_END = Buffer.from([ROW + 1]);

export function timerKey(timer: TimerEntry): Buffer {
  const bytes = encodeTimer(timer, TIMER_LEAD);
  bytes[0] = TIMER;
  requireKeyLength(bytes.length, timer.key);
  return bytes;
}

/** Before the first timer of this time or a later one. Any number will do, infinities included. */
export function timerBound(time: number): Buffer {
  const bytes = encodeTimerBound(time, TIMER_LEAD);
  if (bytes === undefined) return Buffer.from([TIMER + 1]);
  bytes[0] = TIMER;
  return bytes;
}

export function timerOf(bytes: Buffer): TimerEntry {
  return decodeTimer(bytes, TIMER_LEAD);
}

export function headKey({ stage, partition }: TaskId): Buffer {
  const name = prefixed(HEAD, `${stage}\0`);
  const bytes = Buffer.concat([name, Buffer.alloc(4)]);
  bytes.writeUInt32BE(partition, name.length);
  return bytes;
}

export function taskOf(bytes: Buffer): TaskId {
  const partitionAt = bytes.length - 4;
  return { stage: bytes.toString('utf8', 1, partitionAt - 1), partition: bytes.readUInt32BE(partitionAt) };
}

export function documentKey(name: string): Buffer {
  return prefixed(DOCUMENT, name);
}

function prefixed(prefix: number, text: string): Buffer {
  requireRowKey(text);
  const length = Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(length + 1);
  bytes[0] = prefix;
  bytes.write(text, 1);
  return bytes;
}

function requireKeyLength(length: number, text: string): void {
  if (length <= KEY_BYTES_MAX) return;
  throw new EngineError(
    'EVENT_INVALID',
    `Key '${text.slice(0, 60)}…' takes ${length} bytes; the embedded store takes keys of up to ${KEY_BYTES_MAX} bytes.`,
  );
}
