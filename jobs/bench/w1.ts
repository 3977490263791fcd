/**
 * Workload W1 through the full runtime — log, task, state, commit, outputs stored as records — from the first read to
 * the last commit. The topic is filled before; outputs are checked afterwards. Embedded, in a new directory; or, with
 * --kafka and --redis, on servers (w1-servers.ts).
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import { openEmbeddedStorage } from '../../streams/lmdb/index.js';
import type { EmbeddedStorage } from '../../streams/lmdb/index.js';
import { Task } from '../../streams/runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../../streams/runtime/task-options.js';
import { buildTopology } from '../../streams/runtime/topology.js';
import type { CommandContext } from '../commands/command.js';
import { mappingPath } from '../commands/command.js';
import { readMapping } from '../import/mapping.js';
import { openRows } from '../import/rows.js';
import { measure } from './measure.js';
import { serverSettings } from './servers.js';
import type { ServerOptions } from './servers.js';
import { runW1OnServers } from './w1-servers.js';
import type { W1ServerOptions } from './w1-servers.js';
import { SessionReference, clickType, isEqual, sessionStage, summarizeOutputs } from './w1-sessions.js';
import type { Click } from './w1-sessions.js';

export interface W1Options extends ServerOptions, Omit<W1ServerOptions, 'servers'> {
  /** Globo's clicks, csv.gz: for the embedded run. */
  readonly file?: string | undefined;
  readonly limit: number;
}

const TOPICS = { input: 'clicks', output: 'sessions', partitions: 4 };
/** Batches this large still end within the second that commits may lie apart. */
const BATCH_RECORDS = 20_000;
const FILL_RECORDS = 5_000;

export async function runW1(context: CommandContext, options: W1Options): Promise<void> {
  const servers = serverSettings(options);
  if (servers !== undefined) return runW1OnServers(context, { ...options, servers });
  await runW1Embedded(context, await readClicks(options.file, options.limit));
}

async function runW1Embedded(context: CommandContext, clicks: readonly Click[]): Promise<void> {
  const { clock, random, terminal } = context;
  const directory = mkdtempSync(join(tmpdir(), 'freshet-w1-'));
  const storage = await openEmbeddedStorage({ directory, sync: 'always', clock, random });
  try {
    await storage.log.createTopics(
      [TOPICS.input, TOPICS.output].map((name) => ({ name, partitions: TOPICS.partitions, class: 'event' as const })),
    );
    terminal.say(`filling topic '${TOPICS.input}' with ${clicks.length} clicks`);
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
    const reference = new SessionReference();
    for (const click of clicks) reference.add(click);
    const isCorrect = isEqual(await summarizeOutputs(storage.log, TOPICS), reference.summary);
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

async function readClicks(file: string | undefined, limit: number): Promise<Click[]> {
  if (file === undefined || !existsSync(file)) {
    const found = file === undefined ? 'no file was named' : `there is no file '${file}'`;
    throw new EngineError(
      'USAGE_INVALID',
      `Name Globo's clicks (csv.gz) with --file, or servers with --kafka and --redis; ${found}.`,
    );
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
  for (let i = 0; i < clicks.length; i += FILL_RECORDS) {
    const block = clicks.slice(i, i + FILL_RECORDS);
    const records = block.map((click) => ({ key: click.user, value: clickType.encode(click) }));
    await storage.log.append(TOPICS.input, records);
  }
}

async function openTasks({ clock, random }: CommandContext, { log, store }: EmbeddedStorage): Promise<Task[]> {
  const stage = sessionStage(TOPICS);
  buildTopology('w1', [stage]);
  const options = {
    ...DEFAULT_TASK_OPTIONS,
    batchRecordsMax: BATCH_RECORDS,
    batchBytesMax: 64 << 20,
    outputBytesMax: 64 << 20,
    sliceMs: Infinity,
  };
  const tasks = Array.from(
    { length: TOPICS.partitions },
    (_, partition) => new Task(stage, partition, { log, store, clock, random }, options),
  );
  for (const task of tasks) await task.open();
  return tasks;
}
