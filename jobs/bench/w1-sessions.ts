/**
 * What workload W1, "sessions", computes: clicks keyed by user → per-user session in event time (gap 30 min, kept as
 * start, last, count) → one output record for every click; and the sequential reference that outputs are checked
 * against: number, sum of counts, distinct sessions, and the sum of CRC-32 over all output values.
 */
import { crc32 } from 'node:zlib';
import { createRecordType, createStateCodec } from '../../schemas/record-type.js';
import type { EventLog, LogRecord } from '../../streams/log/event-log.js';
import type { Operator } from '../../streams/runtime/operator.js';
import type { StageDeclaration } from '../../streams/runtime/topology.js';

export interface Click {
  readonly user: string;
  readonly item: string;
  readonly ts: number;
}

interface Session {
  user: string;
  start: number;
  last: number;
  count: number;
}

export interface SessionTopics {
  readonly input: string;
  readonly output: string;
  readonly partitions: number;
}

/** What outputs are compared by. */
export interface Summary {
  readonly records: number;
  readonly counts: number;
  readonly sessions: number;
  readonly crc: number;
}

const GAP_MS = 30 * 60_000;
const READ_RECORDS = 10_000;
const READ_BYTES = 16 << 20;

const sessionSchema = {
  type: 'record',
  name: 'Session',
  namespace: 'peers',
  fields: [
    { name: 'user', type: 'string' },
    { name: 'start', type: 'long' },
    { name: 'last', type: 'long' },
    { name: 'count', type: 'long' },
  ],
};
export const clickType = createRecordType<Click>({
  type: 'record',
  name: 'Click',
  namespace: 'peers',
  fields: [
    { name: 'user', type: 'string' },
    { name: 'item', type: 'string' },
    { name: 'ts', type: 'long' },
  ],
});
const sessionType = createRecordType<Session>(sessionSchema);

/** `onFirst` is called when the first record is decoded. */
export function sessionStage({ input, output }: SessionTopics, onFirst?: () => void): StageDeclaration<Click> {
  let first = onFirst;
  return {
    name: 'sessions',
    input,
    codec: {
      decode: (value) => {
        if (first !== undefined) {
          first();
          first = undefined;
        }
        return clickType.decode(value);
      },
      times: ({ ts }) => ({ ts, receivedAt: undefined }),
      runtimeRecord: () => undefined,
      encodeRuntimeRecord: () => new Uint8Array(0),
    },
    operators: [sessionOperator(output)],
    outputs: [output],
    clockToleranceMs: 0,
    allowedLatenessMs: Infinity,
    latePolicy: 'process',
    faultPolicy: 'fail',
    deadLetters: undefined,
  };
}

function sessionOperator(output: string): Operator<Click, Session> {
  return {
    name: 'session',
    purity: 'log-pure',
    state: createStateCodec<Session>(sessionSchema),
    process({ user, ts }, cell, context) {
      let session = cell.get();
      if (session === undefined || ts - session.last > GAP_MS) {
        session = { user, start: ts, last: ts, count: 1 };
        cell.set(session);
      } else {
        session.last = ts;
        session.count++;
        cell.changed();
      }
      context.emit(output, context.key, sessionType.encode(session));
    },
  };
}

/** The same computation without an engine, a click at a time; of one user in order. */
export class SessionReference {
  private readonly open = new Map<string, Session>();
  private records = 0;
  private counts = 0;
  private sessions = 0;
  private crc = 0;

  add({ user, ts }: Click): void {
    let session = this.open.get(user);
    if (session === undefined || ts - session.last > GAP_MS) {
      session = { user, start: ts, last: ts, count: 1 };
      this.open.set(user, session);
      this.sessions++;
    } else {
      session.last = ts;
      session.count++;
    }
    this.records++;
    this.counts += session.count;
    // CRCs are summed, so the order of users does not matter.
    this.crc += crc32(sessionType.encode(session));
  }

  get summary(): Summary {
    const { records, counts, sessions, crc } = this;
    return { records, counts, sessions, crc };
  }
}

/** Reads the output topic whole. */
export async function summarizeOutputs(log: EventLog, { output, partitions }: SessionTopics): Promise<Summary> {
  const seen = new Set<string>();
  let records = 0;
  let counts = 0;
  let crc = 0;
  for await (const { value } of readTopic(log, output, partitions)) {
    const session = sessionType.decode(value);
    records++;
    counts += session.count;
    crc += crc32(value);
    seen.add(`${session.user} ${session.start}`);
  }
  return { records, counts, sessions: seen.size, crc };
}

/** All records, partition after partition. */
export async function* readTopic(log: EventLog, topic: string, partitions: number): AsyncGenerator<LogRecord> {
  for (let partition = 0; partition < partitions; partition++) {
    const { start, end } = await log.bounds(topic, partition);
    for (let offset = start; offset < end;) {
      const limits = { recordsMax: READ_RECORDS, bytesMax: READ_BYTES };
      const batch = await log.read(topic, partition, offset, limits);
      yield* batch.records;
      offset = batch.nextOffset;
    }
  }
}

export function isEqual(a: Summary, b: Summary): boolean {
  return a.records === b.records && a.counts === b.counts && a.sessions === b.sessions && a.crc === b.crc;
}
