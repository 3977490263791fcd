/**
 * Workload W1, "sessions": clicks keyed by user → per-user session in event time (gap 30 min, kept as start, last,
 * count) → one output record for every click. The topic is filled before; measured is the full runtime — log, task,
 * state, commit, outputs stored as records — from the first read to the last commit.
 *
 * Outputs are checked afterwards against a sequential reference: number, sum of counts, distinct sessions, and the sum
 * of CRC-32 over all output values.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { EngineError } from '../../schemas/errors.js';
import { createRecordType, createStateCodec } from '../../schemas/record-type.js';
import { openEmbeddedStorage } from '../../streams/lmdb/index.js';
import type { EmbeddedStorage } from '../../streams/lmdb/index.js';
import type { Operator } from '../../streams/runtime/operator.js';
import { Task } from '../../streams/runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../../streams/runtime/task-options.js';
import type { StageDeclaration } from '../../streams/runtime/topology.js';
import { buildTopology } from '../../streams/runtime/topology.js';
import type { CommandContext } from '../commands/command.js';
import { mappingPath } from '../commands/command.js';
import { readMapping } from '../import/mapping.js';
import { openRows } from '../import/rows.js';
import { measure } from './measure.js';

export interface W1Options {
  /** Globo's clicks, csv.gz. */
  readonly file: string;
  readonly limit: number;
}

interface Click {
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

const GAP_MS = 30 * 60_000;
const PARTITIONS = 4;
const INPUT = 'clicks';
const OUTPUT = 'sessions';
/** Batches this large still end within the second that commits may lie apart. */
const BATCH_RECORDS = 20_000;

const clickSchema = {
  type: 'record',
  name: 'Click',
  namespace: 'peers',
  fields: [
    { name: 'user', type: 'string' },
    { name: 'item', type: 'string' },
    { name: 'ts', type: 'long' },
  ],
};
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
const clickType = createRecordType<Click>(clickSchema);
const sessionType = createRecordType<Session>(sessionSchema);

const sessionOperator: Operator<Click, Session> = {
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
    context.emit(OUTPUT, context.key, sessionType.encode(session));
  },
};

const stage: StageDeclaration<Click> = {
  name: 'sessions',
  input: INPUT,
  codec: {
    decode: (value) => clickType.decode(value),
    times: ({ ts }) => ({ ts, receivedAt: undefined }),
    runtimeRecord: () => undefined,
    encodeRuntimeRecord: () => new Uint8Array(0),
  },
  operators: [sessionOperator],
  outputs: [OUTPUT],
  clockToleranceMs: 0,
  allowedLatenessMs: Infinity,
  latePolicy: 'process',
  faultPolicy: 'fail',
  deadLetters: undefined,
};

export async function runW1(context: CommandContext, options: W1Options): Promise<void> {
  const { clock, random, terminal } = context;
  const directory = mkdtempSync(join(tmpdir(), 'freshet-w1-'));
  const storage = await openEmbeddedStorage({ directory, sync: 'always', clock, random });
  try {
    await storage.log.createTopics(
      [INPUT, OUTPUT].map((name) => ({ name, partitions: PARTITIONS, class: 'event' as const })),
    );
    const clicks = await readClicks(options);
    terminal.say(`filling topic '${INPUT}' with ${clicks.length} clicks`);
    await fill(storage, clicks);
    const tasks = await openTasks(context, storage);
    const gaps: number[] = [];
    const cost = await measure(clock, async () => {
      let committed = clock.monotonic();
      for (let hasInput = true; hasInput;) {
        hasInput = false;
        for (const task of tasks) {
          if ((await task.step()) > 0) hasInput = true;
          gaps.push(clock.monotonic() - committed);
          committed = clock.monotonic();
        }
      }
      await storage.flushed();
    });
    terminal.say('checking outputs');
    const isCorrect = isEqual(await readOutputs(storage), reference(clicks));
    terminal.result({
      events: clicks.length,
      ...cost,
      eventsPerSecond: clicks.length / cost.seconds,
      eventsPerCoreSecond: clicks.length / cost.cpuSeconds,
      longestCommitGapMs: Math.max(...gaps),
      isCorrect,
    });
    if (!isCorrect) throw new EngineError('INVARIANT_VIOLATED', 'The outputs differ from the sequential reference.');
  } finally {
    await storage.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function readClicks({ file, limit }: W1Options): Promise<Click[]> {
  if (!existsSync(file)) {
    throw new EngineError('USAGE_INVALID', `There is no file '${file}'. Name Globo's clicks (csv.gz) with --file.`);
  }
  const { columns, rows } = await openRows(file, readMapping(mappingPath('globo')));
  const [user, item, ts] = ['user_id', 'click_article_id', 'click_timestamp'].map((name) => columns.indexOf(name));
  const clicks: Click[] = [];
  for await (const { values } of rows) {
    clicks.push({ user: values[user!]!, item: values[item!]!, ts: Number(values[ts!]) });
  }
  return clicks.sort((a, b) => a.ts - b.ts).slice(0, limit);
}

async function fill(storage: EmbeddedStorage, clicks: readonly Click[]): Promise<void> {
  const block = 5_000;
  for (let i = 0; i < clicks.length; i += block) {
    const records = clicks.slice(i, i + block).map((click) => ({ key: click.user, value: clickType.encode(click) }));
    await storage.log.append(INPUT, records);
  }
}

async function openTasks({ clock, random }: CommandContext, { log, store }: EmbeddedStorage): Promise<Task[]> {
  buildTopology('w1', [stage]);
  const options = {
    ...DEFAULT_TASK_OPTIONS,
    batchRecordsMax: BATCH_RECORDS,
    batchBytesMax: 64 << 20,
    outputBytesMax: 64 << 20,
    sliceMs: Infinity,
  };
  const tasks = Array.from(
    { length: PARTITIONS },
    (_, partition) => new Task(stage, partition, { log, store, clock, random }, options),
  );
  for (const task of tasks) await task.open();
  return tasks;
}

interface Summary {
  readonly records: number;
  readonly counts: number;
  readonly sessions: number;
  readonly crc: number;
}

/** The same computation without an engine. CRCs are summed, so order does not matter. */
function reference(clicks: readonly Click[]): Summary {
  const sessions = new Map<string, Session>();
  let counts = 0;
  let distinct = 0;
  let crc = 0;
  for (const { user, ts } of clicks) {
    let session = sessions.get(user);
    if (session === undefined || ts - session.last > GAP_MS) {
      session = { user, start: ts, last: ts, count: 1 };
      sessions.set(user, session);
      distinct++;
    } else {
      session.last = ts;
      session.count++;
    }
    counts += session.count;
    crc += crc32(sessionType.encode(session));
  }
  return { records: clicks.length, counts, sessions: distinct, crc };
}

async function readOutputs({ log }: EmbeddedStorage): Promise<Summary> {
  const seen = new Set<string>();
  let records = 0;
  let counts = 0;
  let crc = 0;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { start, end } = await log.bounds(OUTPUT, partition);
    for (let offset = start; offset < end;) {
      const batch = await log.read(OUTPUT, partition, offset, { recordsMax: 10_000, bytesMax: 16 << 20 });
      for (const { value } of batch.records) {
        const session = sessionType.decode(value);
        records++;
        counts += session.count;
        crc += crc32(value);
        seen.add(`${session.user} ${session.start}`);
      }
      offset = batch.nextOffset;
    }
  }
  return { records, counts, sessions: seen.size, crc };
}

function isEqual(a: Summary, b: Summary): boolean {
  return a.records === b.records && a.counts === b.counts && a.sessions === b.sessions && a.crc === b.crc;
}
