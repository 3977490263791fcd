/**
 * The windows kept under one key, and their stored form.
 *
 * Layout: u8 flags, then as Avro longs and bytes: version of the aggregate's codec, the armed timer, what is final
 * (when flagged), the key of the outputs sent (when flagged), the number of windows, and per window its start, length,
 * revision + 1 (negative when still open) and aggregate. Times of windows are stored as differences to the one before.
 */
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { StateCodec } from '../runtime/operator.js';
import { NO_TIMER } from './key-timer.js';

export interface Window<A> {
  start: number;
  end: number;
  /** Of the last output; -1 before the first. */
  revision: number;
  /** Emission 'close': it was sent, and nothing that re-opened it came since. */
  closed: boolean;
  aggregate: A;
}

export interface WindowState<A> {
  /** When the key's timer fires; NO_TIMER when there is none. */
  timer: number;
  /** Windows that close at or before this were given up to keep the bound: they are final. */
  finalThrough: number;
  /** Key of the outputs sent so far; differs from the present key after keys were merged. */
  sentAs: string;
  /** By start. */
  windows: Window<A>[];
}

/** Nothing was given up. */
export const NOTHING_FINAL = Number.MIN_SAFE_INTEGER;

export function emptyWindowState<A>(): WindowState<A> {
  return { timer: NO_TIMER, finalThrough: NOTHING_FINAL, sentAs: '', windows: [] };
}

const LAYOUT_VERSION = 1;
const HAS_FINAL = 1;
const HAS_SENT_AS = 2;
/** A window takes at least this many bytes: bounds the count read from damaged bytes. */
const WINDOW_BYTES_MIN = 4;

export function createWindowStateCodec<A>(operator: string, aggregate: StateCodec<A>): StateCodec<WindowState<A>> {
  const writer = new BinaryWriter();
  return {
    version: LAYOUT_VERSION,
    encode(state) {
      const aggregates = state.windows.map((window) => aggregate.encode(window.aggregate));
      writer.openScratch();
      writeHeader(writer, state, aggregate.version);
      let before = state.timer;
      state.windows.forEach((window, i) => {
        writer.writeLong(window.start - before);
        writer.writeLong(window.end - window.start);
        writer.writeLong(window.closed ? window.revision + 1 : -2 - window.revision);
        writer.writeBytes(aggregates[i]!);
        before = window.start;
      });
      return writer.takeScratch();
    },
    decode(bytes) {
      try {
        return readState(bytes, operator, aggregate);
      } catch (cause) {
        if (isEngineError(cause) && cause.code !== 'CODEC_CORRUPT') throw cause;
        throw new EngineError('STATE_CORRUPT', `The windows of operator '${operator}' cannot be read.`, { cause });
      }
    },
  };
}

function writeHeader<A>(writer: BinaryWriter, state: WindowState<A>, aggregateVersion: number): void {
  const hasFinal = state.finalThrough !== NOTHING_FINAL;
  const hasSentAs = state.sentAs !== '';
  writer.writeByte((hasFinal ? HAS_FINAL : 0) | (hasSentAs ? HAS_SENT_AS : 0));
  writer.writeLong(aggregateVersion);
  writer.writeLong(state.timer);
  if (hasFinal) writer.writeLong(state.finalThrough);
  if (hasSentAs) writer.writeString(state.sentAs);
  writer.writeLong(state.windows.length);
}

function readState<A>(bytes: Buffer, operator: string, aggregate: StateCodec<A>): WindowState<A> {
  const reader = new BinaryReader();
  reader.open(bytes, 1);
  const flags = bytes[0] ?? 0;
  const version = reader.readLong();
  requireKnownVersion(operator, version, aggregate.version);
  const state = emptyWindowState<A>();
  state.timer = reader.readLong();
  if ((flags & HAS_FINAL) !== 0) state.finalThrough = reader.readLong();
  if ((flags & HAS_SENT_AS) !== 0) state.sentAs = reader.readString();
  const count = reader.readCount(WINDOW_BYTES_MIN);
  let before = state.timer;
  for (let i = 0; i < count; i++) {
    const start = before + reader.readLong();
    const end = start + reader.readLong();
    const mark = reader.readLong();
    const closed = mark >= 0;
    const revision = closed ? mark - 1 : -2 - mark;
    state.windows.push({ start, end, revision, closed, aggregate: aggregate.decode(reader.readBytes(), version) });
    before = start;
  }
  reader.close();
  return state;
}

/** What is nested in a cell has a version of its own, which the row cannot check. */
export function requireKnownVersion(operator: string, stored: number, known: number): void {
  if (stored <= known) return;
  throw new EngineError(
    'STATE_VERSION_UNKNOWN',
    `A value inside the state of operator '${operator}' has version ${stored}; this build reads up to ${known}. Run the newer build.`,
    { context: { operator, version: stored } },
  );
}
