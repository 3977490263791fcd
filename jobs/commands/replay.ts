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
import { fileIdOf, importFile } from '../import/importer.js';
import type { ImportResult } from '../import/importer.js';
import { readMapping } from '../import/mapping.js';
import { RowConverter } from '../import/row-converter.js';
import type { ConvertedRecord } from '../import/row-converter.js';
import { openRows } from '../import/rows.js';
import { Engine } from '../engine/engine.js';
import { LockstepScheduler } from '../engine/lockstep.js';
import { taskOptionsOf } from '../../streams/section.js';
import { measure } from '../bench/measure.js';
import { loadConfig, mappingPath } from './command.js';
import type { CommandContext, DataOptions } from './command.js';
import { importInto, importTargetOf } from './import.js';

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

async function evaluate(context: CommandContext, file: string, options: ReplayOptions): Promise<void> {
  const { terminal, clock } = context;
  const sources = options.sources === undefined ? [] : options.sources.split(',');
  const run = async (label: string, batchEvents: number, named: readonly string[]) => {
    const config = loadConfig(options);
    const evaluation = await PrequentialEvaluation.open({
      config,
      clock,
      random: seededRandom(1),
      batchEvents,
      sources: named,
    });
    const start = clock.monotonic();
    for await (const records of readRecords(file, options)) {
      await evaluation.add(records);
      terminal.progress(() => `${label}: ${evaluation.events} events, ${renderQuality(evaluation.results().quality)}`);
    }
    terminal.say(`${label}: ${evaluation.events} events, ${renderQuality(evaluation.results().quality)}`);
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

/** A file's records row by row; rows that do not fit the mapping are passed over. */
async function* readRecords(
  file: string,
  options: Pick<ReplayOptions, 'mapping' | 'limit'>,
): AsyncIterable<ConvertedRecord[]> {
  const mapping = readMapping(mappingPath(options.mapping));
  const { columns, rows } = await openRows(file, mapping);
  const converter = new RowConverter(mapping, columns, await fileIdOf(file));
  for await (const row of rows) {
    if (row.number > options.limit) return;
    if (row.fault !== undefined) continue;
    yield converter.convert(row);
  }
}

async function replay(context: CommandContext, file: string, options: ReplayOptions): Promise<void> {
  const { terminal, clock, random, logger } = context;
  const config = loadConfig(options);
  const directory = options.data ?? mkdtempSync(join(tmpdir(), 'freshet-replay-'));
  const engine = await Engine.open({ config, directory, clock, random, logger });
  try {
    let result: ImportResult | undefined;
    const cost = await measure(clock, async () => {
      const isLockstep = options.lockstep === true;
      result = isLockstep
        ? await replayInLockstep(context, engine, file, options)
        : await replayAtSpeed(context, engine, file, options);
    });
    const { rows: events, rejected, skipped } = result!;
    terminal.result({ events, rejected, skipped, ...cost, eventsPerSecond: (events - skipped) / cost.seconds });
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

async function replayAtSpeed(
  { terminal, clock }: CommandContext,
  engine: Engine,
  file: string,
  options: ReplayOptions,
): Promise<ImportResult> {
  const multiplier = multiplierOf(options.speed);
  const pace = new Pace(clock, multiplier);
  const timed = { blockRows: 1, beforeRow: (records: readonly ConvertedRecord[]) => pace.until(records) };
  await engine.start();
  const { limit } = options;
  const plan = { file, mapping: mappingPath(options.mapping), limit, ...(multiplier === Infinity ? {} : timed) };
  const result = await importInto(engine, plan, ({ rows }) => {
    terminal.progress(() => `${rows} events replayed`);
  });
  await engine.drain();
  return result;
}

async function replayInLockstep(
  { terminal, clock, random }: CommandContext,
  engine: Engine,
  file: string,
  options: ReplayOptions,
): Promise<ImportResult> {
  const scheduler = await LockstepScheduler.open({
    topology: engine.engineTopology.topology,
    storage: engine.storage,
    tables: engine.tables,
    itemState: engine.topic('itemState'),
    clock,
    // Owners and commits must have other names in each process, or a restarted one meets its own of the life before.
    random: random.stream('lockstep'),
    task: taskOptionsOf(loadConfig(options).streams),
  });
  // What a run that was cut off has left comes first: the interleaving is that of a run in one go.
  await scheduler.settle();
  const result = await importFile(importTargetOf(engine), {
    file,
    mapping: mappingPath(options.mapping),
    limit: options.limit,
    blockRows: 1,
    onProgress: async ({ rows }) => {
      await scheduler.settle();
      terminal.progress(() => `${rows} events replayed in lockstep`);
    },
  });
  scheduler.close();
  return result;
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
