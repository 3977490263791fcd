/**
 * Takes events or items from requests into the log: one, a list, or a stream of lines. Nothing is acknowledged before
 * it is durable, and what is refused is told with its place, code and reason.
 *
 * A list is encoded in slices with a turn between them, so that a big batch does not hold up pushes; a stream is taken
 * in bounded chunks, each durable before more is read, which is its back-pressure.
 */
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { OutgoingRecord } from '../../streams/log/event-log.js';
import type { Clock } from '../../streams/clock.js';
import type { Counter } from '../../streams/metrics.js';
import type { EdgeStamp, EncodedEvent } from './event-json.js';
import type { LogWriter } from './log-writer.js';
import { splitLines, type NumberedLine } from './ndjson.js';

export type EncodeBody = (body: unknown, at: string, stamp: EdgeStamp) => EncodedEvent;

export interface AcceptedResult {
  readonly eventId: string;
  readonly status: 'accepted';
}

export interface RejectedResult {
  readonly status: 'rejected';
  /** Index in the list, or line of the stream, from 0 and from 1. */
  readonly index?: number;
  readonly line?: number;
  readonly code: string;
  readonly reason: string;
}

export interface ListResult {
  readonly accepted: number;
  readonly rejected: number;
  /** One an event, in order. */
  readonly results: readonly (AcceptedResult | RejectedResult)[];
}

export interface StreamResult {
  readonly accepted: number;
  readonly rejected: number;
  /** The first rejected lines. */
  readonly errors: readonly RejectedResult[];
}

export interface IngestOptions {
  readonly writer: LogWriter;
  readonly clock: Clock;
  readonly encode: EncodeBody;
  /** Name of what is ingested, for paths: `events[3].userId`. */
  readonly noun: string;
  readonly listMax: number;
  readonly lineBytesMax: number;
  readonly stampOf: (producerId: string) => EdgeStamp;
  /** Called before the append: a feed may be pushed before the append is acknowledged. */
  readonly onTaken: (event: EncodedEvent, takenAtMs: number) => void;
  readonly acceptedTotal: Counter;
  readonly rejectedTotal: Counter;
}

/** Encoded between two turns: about a millisecond. */
const SLICE_EVENTS = 128;
/** Lines, and bytes of them, made durable at once. */
const CHUNK_LINES_MAX = 1_000;
const CHUNK_BYTES_MAX = 1 << 20;
/** Rejected lines told in the answer: the answer is bounded, the stream is not. */
const ERRORS_TOLD_MAX = 100;

export class Ingest {
  constructor(private readonly options: IngestOptions) {}

  /** @throws EVENT_INVALID, EVENT_TIME_INVALID, OVERLOADED, STORAGE_FULL */
  async one(body: unknown, producerId: string): Promise<AcceptedResult> {
    const { encode, stampOf, rejectedTotal } = this.options;
    let event: EncodedEvent;
    try {
      event = encode(body, '', stampOf(producerId));
    } catch (error) {
      rejectedTotal.inc();
      throw error;
    }
    return this.encoded(event);
  }

  /** Appends what the caller encoded itself. */
  async encoded(event: EncodedEvent): Promise<AcceptedResult> {
    const { writer, onTaken, clock, acceptedTotal } = this.options;
    onTaken(event, clock.monotonic());
    await writer.append([event]);
    acceptedTotal.inc();
    return { eventId: event.eventId, status: 'accepted' };
  }

  stamp(producerId: string): EdgeStamp {
    return this.options.stampOf(producerId);
  }

  /** Valid events are accepted whatever stands beside them. @throws REQUEST_INVALID for an empty or too long list */
  async list(bodies: readonly unknown[], producerId: string): Promise<ListResult> {
    const { listMax, noun } = this.options;
    if (bodies.length === 0 || bodies.length > listMax) {
      const advice = bodies.length === 0 ? '' : '; send several requests, or a stream of lines (application/x-ndjson)';
      throw new EngineError(
        'REQUEST_INVALID',
        `The list holds ${bodies.length} ${noun}; expected 1 to ${listMax}${advice}`,
      );
    }
    const batch = new Batch(this.options, producerId);
    for (let i = 0; i < bodies.length; i++) {
      batch.add(bodies[i], `${noun}[${i}]`, i);
      if ((i + 1) % SLICE_EVENTS === 0) await this.options.clock.nextTurn();
    }
    await batch.commit();
    return { accepted: batch.events.length, rejected: bodies.length - batch.events.length, results: batch.results };
  }

  /** @throws BODY_TOO_LARGE for a line; OVERLOADED, STORAGE_FULL: with how many lines had been accepted */
  async stream(bytes: AsyncIterable<Buffer>, producerId: string): Promise<StreamResult> {
    let accepted = 0;
    let rejected = 0;
    const errors: RejectedResult[] = [];
    let lines: NumberedLine[] = [];
    let lineBytes = 0;
    const commit = async (): Promise<void> => {
      const batch = new Batch(this.options, producerId);
      for (const { line, text } of lines) batch.addLine(text, line);
      await batch.commit();
      accepted += batch.events.length;
      rejected += lines.length - batch.events.length;
      for (const result of batch.results) {
        if (result.status === 'rejected' && errors.length < ERRORS_TOLD_MAX) errors.push(result);
      }
      lines = [];
      lineBytes = 0;
    };
    try {
      for await (const numbered of splitLines(bytes, this.options.lineBytesMax)) {
        lines.push(numbered);
        lineBytes += numbered.text.length;
        if (lines.length >= CHUNK_LINES_MAX || lineBytes >= CHUNK_BYTES_MAX) await commit();
      }
      if (lines.length > 0) await commit();
    } catch (error) {
      throw withProgress(error, accepted, rejected);
    }
    return { accepted, rejected, errors };
  }
}

/** Events of one request on their way into one append. */
class Batch {
  readonly events: EncodedEvent[] = [];
  readonly results: (AcceptedResult | RejectedResult)[] = [];
  private readonly stamp: EdgeStamp;

  constructor(
    private readonly options: IngestOptions,
    producerId: string,
  ) {
    this.stamp = options.stampOf(producerId);
  }

  add(body: unknown, at: string, index: number): void {
    try {
      this.accept(this.options.encode(body, at, this.stamp));
    } catch (error) {
      this.results.push({ status: 'rejected', index, ...reasonOf(error) });
    }
  }

  addLine(text: string, line: number): void {
    try {
      this.accept(this.options.encode(parseLine(text), '', this.stamp));
    } catch (error) {
      this.results.push({ status: 'rejected', line, ...reasonOf(error) });
    }
  }

  async commit(): Promise<void> {
    const { writer, acceptedTotal, rejectedTotal, onTaken, clock } = this.options;
    const rejected = this.results.length - this.events.length;
    if (rejected > 0) rejectedTotal.inc(rejected);
    if (this.events.length === 0) return;
    const takenAtMs = clock.monotonic();
    for (const event of this.events) onTaken(event, takenAtMs);
    await writer.append(this.events satisfies readonly OutgoingRecord[]);
    acceptedTotal.inc(this.events.length);
  }

  private accept(event: EncodedEvent): void {
    this.events.push(event);
    this.results.push({ eventId: event.eventId, status: 'accepted' });
  }
}

function parseLine(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new EngineError('REQUEST_INVALID', `The line is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function reasonOf(error: unknown): { code: string; reason: string } {
  if (!isEngineError(error)) throw error;
  return { code: error.code, reason: error.message };
}

function withProgress(error: unknown, accepted: number, rejected: number): unknown {
  if (!isEngineError(error)) return error;
  const message = `${error.message} (${accepted} lines were accepted before; ${rejected} were rejected)`;
  return new EngineError(error.code, message, { cause: error, context: { ...error.context, accepted, rejected } });
}
