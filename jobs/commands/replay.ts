/**
 * `freshet replay FILE --mapping M`: a file through the whole engine, as fast as it goes or at a multiple of its own
 * speed; with `--evaluate` the engine is asked for its top 10 before each event.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import { decodeRecord } from '../../schemas/codec.js';
import type { Clock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import { PrequentialEvaluation } from '../evaluate/prequential.js';
import type { RankingQuality } from '../evaluate/ranking-metrics.js';
import { fileIdOf } from '../import/importer.js';
import { readMapping } from '../import/mapping.js';
import { RowConverter } from '../import/row-converter.js';
import type { ConvertedRecord } from '../import/row-converter.js';
import { openRows } from '../import/rows.js';
import { Engine } from '../engine/engine.js';
import { LockstepScheduler } from '../engine/lockstep.js';
import { taskOptionsOf } from '../../streams/section.js';
import { loadConfig, mappingPath } from './command.js';
import type { CommandContext, DataOptions } from './command.js';
import { isEngineError } from '../../schemas/errors.js';

export interface ReplayOptions extends Omit<DataOptions, 'data'> {
  readonly data?: string | undefined;
  readonly mapping: string;
  readonly limit: number;
  readonly evaluate?: boolean | undefined;
  readonly lockstep?: boolean | undefined;
  readonly speed: string;
  readonly sources?: string | undefined;
  /** Events between two steps in the normal mode of an evaluation. */
  readonly lagEvents: number;
}

export async function runReplay(context: CommandContext, file: string, options: ReplayOptions): Promise<void> {
  if (options.evaluate === true) await evaluate(context, file, options);
  else await replay(context, file, options);
}

/** Rows of a file as records, bad ones counted and passed over. */
class RecordSource {
  rejected = 0;
  rows = 0;

  constructor(
    private readonly file: string,
    private readonly options: Pick<ReplayOptions, 'mapping' | 'limit'>,
  ) {}

  async *records(): AsyncIterable<ConvertedRecord[]> {
    const mapping = readMapping(mappingPath(this.options.mapping));
    const { columns, rows } = await openRows(this.file, mapping);
    const converter = new RowConverter(mapping, columns, await fileIdOf(this.file));
    for await (const row of rows) {
      if (row.number > this.options.limit) return;
      this.rows++;
      let converted: ConvertedRecord[];
      try {
        converted = converter.convert(row);
      } catch (error) {
        if (!isEngineError(error)) throw error;
        this.rejected++;
        continue;
      }
      yield converted;
    }
  }
}

async function evaluate(context: CommandContext, file: string, options: ReplayOptions): Promise<void> {
  const { terminal, clock } = context;
  const sources = options.sources === undefined ? [] : options.sources.split(',');
  const run = async (label: string, batchEvents: number, named: readonly string[]) => {
    const config = loadConfig(options);
    const evaluation = await PrequentialEvaluation.open({ config, clock, random: seededRandom(1), batchEvents, sources: named });
    const source = new RecordSource(file, options);
    const start = clock.monotonic();
    for await (const records of source.records()) {
      await evaluation.add(records);
      terminal.progress(() => `${label}: ${evaluation.events} events, ${renderQuality(evaluation.results().quality)}`);
    }
    return { ...evaluation.results(), events: evaluation.events, seconds: (clock.monotonic() - start) / 1_000 };
  };
  const lockstep = await run('lockstep', 1, sources);
  const normal = await run('normal', options.lagEvents, []);
  terminal.result({
    events: lockstep.events,
    ...lockstep.quality,
    eventsPerSecond: lockstep.events / lockstep.seconds,
    normal: { lagEvents: options.lagEvents, ...normal.quality, eventsPerSecond: normal.events / normal.seconds },
    ...(sources.length > 0 ? { sources: lockstep.sources } : {}),
  });
}

function renderQuality({ tests, hr10, mrr10 }: RankingQuality): string {
  return `${tests} tests, HR@10 ${hr10.toFixed(4)}, MRR@10 ${mrr10.toFixed(4)}`;
}

/** Records appended together at full speed. */
const BLOCK_RECORDS = 1_000;
const LAG_RECORDS_MAX = 50_000;

async function replay(context: CommandContext, file: string, options: ReplayOptions): Promise<void> {
  const { terminal, clock, random, logger } = context;
  const directory = options.data ?? mkdtempSync(join(tmpdir(), 'freshet-replay-'));
  const engine = await Engine.open({ config: loadConfig(options), directory, clock, random, logger });
  const source = new RecordSource(file, options);
  const start = clock.monotonic();
  const cpu = process.cpuUsage();
  try {
    if (options.lockstep === true) await replayInLockstep(context, engine, source, loadConfig(options));
    else await replayAtSpeed(context, engine, source, multiplierOf(options.speed));
    const seconds = (clock.monotonic() - start) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    const cpuSeconds = (user + system) / 1e6;
    const { rows: events, rejected } = source;
    terminal.result({ events, rejected, seconds, cpuSeconds, eventsPerSecond: events / seconds, maxRssBytes: process.resourceUsage().maxRSS * 1_024 });
  } finally {
    await engine.close();
    if (options.data === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

/** Infinity for `max`, otherwise how many times faster than the file's own time. */
function multiplierOf(speed: string): number {
  if (speed === 'max') return Infinity;
  const multiplier = Number(/^(\d+(?:\.\d+)?)x$/.exec(speed)?.[1]);
  if (multiplier > 0) return multiplier;
  throw new EngineError('USAGE_INVALID', `--speed is '${speed}'; expected max or a multiple such as 1x or 60x.`);
}

async function replayAtSpeed(context: CommandContext, engine: Engine, source: RecordSource, multiplier: number): Promise<void> {
  const { terminal, clock } = context;
  const pace = new Pace(clock, multiplier);
  await engine.start();
  let block: ConvertedRecord[] = [];
  for await (const records of source.records()) {
    if (multiplier !== Infinity) {
      await append(engine, block);
      block = [];
      await pace.until(records);
    }
    block.push(...records);
    if (block.length < BLOCK_RECORDS) continue;
    await append(engine, block);
    block = [];
    if ((await engine.worker.lag()) > LAG_RECORDS_MAX) await engine.drain();
    terminal.progress(() => `${source.rows} events replayed`);
  }
  await append(engine, block);
  await engine.drain();
}

async function replayInLockstep(
  context: CommandContext,
  engine: Engine,
  source: RecordSource,
  config: ReturnType<typeof loadConfig>,
): Promise<void> {
  const { terminal, clock } = context;
  const scheduler = await LockstepScheduler.open({
    topology: engine.engineTopology.topology,
    storage: engine.storage,
    tables: engine.tables,
    itemState: engine.topic('itemState'),
    clock,
    random: seededRandom(1),
    task: taskOptionsOf(config.streams),
  });
  for await (const records of source.records()) {
    await append(engine, records);
    await scheduler.settle();
    terminal.progress(() => `${source.rows} events replayed in lockstep`);
  }
  scheduler.close();
}

async function append(engine: Engine, records: readonly ConvertedRecord[]): Promise<void> {
  const { log } = engine.storage;
  const items = records.filter(({ stream }) => stream === 'item');
  const users = records.filter(({ stream }) => stream === 'user');
  if (items.length > 0) await log.append(engine.topic('itemEvents'), items);
  if (users.length > 0) await log.append(engine.topic('userEvents'), users);
}

/** Waits so that events pass at a multiple of the speed at which they happened. */
class Pace {
  private firstTs: number | undefined;
  private startedAt = 0;

  constructor(
    private readonly clock: Clock,
    private readonly multiplier: number,
  ) {}

  async until(records: readonly ConvertedRecord[]): Promise<void> {
    const last = records.at(-1);
    if (last === undefined) return;
    const record = decodeRecord(last.value);
    if (!('ts' in record)) return;
    if (this.firstTs === undefined) {
      this.firstTs = record.ts;
      this.startedAt = this.clock.monotonic();
    }
    const dueIn = (record.ts - this.firstTs) / this.multiplier - (this.clock.monotonic() - this.startedAt);
    if (dueIn > 0) await this.clock.sleep(dueIn);
  }
}
