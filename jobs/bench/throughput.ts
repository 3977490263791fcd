/**
 * Whole chain: every operator of both stages, durable commits, item tables following; embedded, or with --kafka and --redis
 * on servers. The input topic is filled before; measured is from starting the stages until the last table value has been applied.
 *
 * `--file` replays a file through its mapping; without it the simulator's mix is used: all event types, one viewed
 * impression of ten items for every three interactions.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordKindOf } from '../../schemas/codec.js';
import type { TaskStatistics } from '../../streams/runtime/task-options.js';
import type { CommandContext } from '../commands/command.js';
import { loadConfig, mappingPath } from '../commands/command.js';
import { importInto } from '../commands/import.js';
import { Engine } from '../engine/engine.js';
import { createMix } from '../simulate/mix.js';
import { measure } from './measure.js';
import { engineServerSettings } from './servers.js';
import type { ServerOptions } from './servers.js';

export interface ThroughputOptions extends ServerOptions {
  readonly file?: string | undefined;
  readonly mapping: string;
  readonly limit: number;
  readonly seed: number;
  readonly set?: readonly string[] | undefined;
}

const DEFAULT_INTERACTIONS = 100_000;

interface Filled {
  readonly events: number;
  readonly details: Readonly<Record<string, number>>;
}

export async function runThroughput(context: CommandContext, options: ThroughputOptions): Promise<void> {
  const { clock, random, logger, terminal } = context;
  const directory = mkdtempSync(join(tmpdir(), 'freshet-throughput-'));
  const set = [...engineServerSettings(options, random), ...(options.set ?? [])];
  const engine = await Engine.open({ config: loadConfig({ set }), directory, clock, random, logger });
  try {
    const filled =
      options.file === undefined
        ? await fillWithMix(engine, options)
        : await fillFromFile(engine, options.file, options);
    terminal.say(`filled with ${filled.events} events; running both stages`);
    const cost = await measure(clock, async () => {
      await engine.start();
      await engine.drain();
      await engine.storage.flushed();
    });
    const { users, items } = sumByStage(engine.worker.statistics());
    terminal.result({
      events: filled.events,
      ...filled.details,
      ...cost,
      eventsPerSecond: filled.events / cost.seconds,
      eventsPerCoreSecond: filled.events / cost.cpuSeconds,
      signalsPerEvent: items.records / filled.events,
      signalBytesPerEvent: users.outputBytes / filled.events,
      tableBytesPerEvent: items.outputBytes / filled.events,
      commits: users.commits + items.commits,
    });
  } finally {
    await engine.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function fillFromFile(engine: Engine, file: string, options: ThroughputOptions): Promise<Filled> {
  const { rows } = await importInto(
    engine,
    { file, mapping: mappingPath(options.mapping), limit: options.limit },
    () => undefined,
  );
  return { events: rows, details: {} };
}

async function fillWithMix(engine: Engine, { limit, seed }: ThroughputOptions): Promise<Filled> {
  const mix = createMix(seed);
  const wanted = Number.isFinite(limit) ? limit : DEFAULT_INTERACTIONS;
  const topics = { user: engine.topic('userEvents'), item: engine.topic('itemEvents') };
  const { log } = engine.storage;
  let impressionBytes = 0;
  while (mix.counts.interactions < wanted) {
    const records = mix.nextBatch();
    for (const stream of ['item', 'user'] as const) {
      const outgoing = records.filter((record) => record.stream === stream);
      if (outgoing.length > 0) await log.append(topics[stream], outgoing);
    }
    for (const { value } of records) if (recordKindOf(value) === 'Impression') impressionBytes += value.length;
  }
  const { interactions, impressions } = mix.counts;
  return { events: interactions, details: { impressions, bytesPerImpression: impressionBytes / impressions } };
}

function sumByStage(statistics: ReadonlyMap<string, TaskStatistics>): Record<'users' | 'items', TaskStatistics> {
  const sum = (stage: string): TaskStatistics => {
    const all = [...statistics].filter(([name]) => name.startsWith(`${stage}/`)).map(([, counters]) => counters);
    const total = { ...all[0]! };
    for (const counters of all.slice(1)) {
      for (const key of Object.keys(total) as (keyof TaskStatistics)[]) total[key] += counters[key];
    }
    return total;
  };
  return { users: sum('users'), items: sum('items') };
}
