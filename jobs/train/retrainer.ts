/**
 * Keeps models trained while the engine runs: looks now and then whether one is due, and trains it in a process of its own.
 *
 *   look ──due by age or drift──▶ export from the warehouse ──▶ `freshet train` in a child ──▶ published or refused
 *
 * The child publishes through the guardrail and announces on this engine's topic; serving picks it up as any other. One
 * training at a time, at a low priority: requests come first. Stopping stops the child; its checkpoint is kept.
 */
import type { ChildProcess } from 'node:child_process';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type { LiveTrial } from '../../serving/published/live-trials.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import type { Warehouse } from '../../streams/warehouse/warehouse.js';
import { startCli, type CliEnd } from '../cli-process.js';
import { DriftWatch } from './drift-watch.js';
import { exportInteractions } from './export-interactions.js';
import type { ModelRegistry } from './model-registry.js';
import { decideRetrain, type RetrainReason } from './retrain-decision.js';
import type { TrainingConfig } from './training-section.js';

export interface RetrainerOptions {
  readonly config: TrainingConfig;
  /** Data directory of the running engine: where exports lie, and where versions are announced. */
  readonly data: string;
  readonly modelsFolder: string;
  readonly registry: Pick<ModelRegistry, 'tryDescribe'>;
  readonly warehouse: Pick<Warehouse, 'queryStream'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

type TrainedModel = TrainingConfig['models'][number];

/** Looks are cheap: two numbers a model. */
const LOOK_MS = 1_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

export class Retrainer {
  private readonly watches = new Map<string, DriftWatch>();
  private readonly triedAt = new Map<string, number>();
  private readonly stopping = new AbortController();
  private looking: { cancel(): void } | undefined;
  private training: Promise<void> | undefined;
  private child: ChildProcess | undefined;

  constructor(private readonly options: RetrainerOptions) {
    const { config, metrics } = options;
    const { driftRecent: recent, driftBaseline: baseline, driftDrop: drop } = config;
    for (const { name } of config.models) {
      const watch = new DriftWatch({ recent, baseline, drop });
      this.watches.set(name, watch);
      const labels = { model: name };
      const share = (read: 'recentMean' | 'baselineMean') => () => watch.current?.[read] ?? 0;
      metrics.gaugeOf(
        'model_recent_hit_rate',
        'Hits of a model on recent live interactions.',
        share('recentMean'),
        labels,
      );
      metrics.gaugeOf(
        'model_level_hit_rate',
        'Hits of a model on live interactions, over longer.',
        share('baselineMean'),
        labels,
      );
    }
  }

  start(): void {
    const { clock, logger } = this.options;
    this.looking = clock.setInterval(LOOK_MS, () => {
      this.training ??= this.trainDue()
        .catch((error: unknown) => logger.warn('training failed', { error }))
        .finally(() => (this.training = undefined));
    });
  }

  /** A live interaction on which a model was tried. */
  observe({ model, version, isHit }: LiveTrial): void {
    this.watches.get(model)?.observe(version, isHit);
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.looking?.cancel();
    this.stopping.abort();
    this.child?.kill('SIGTERM');
    await this.training;
  }

  private async trainDue(): Promise<void> {
    const { config, clock, registry } = this.options;
    const limits = { everyMs: config.everyHours * HOUR_MS, restMs: config.restMinutes * MINUTE_MS };
    for (const model of config.models) {
      const published = await registry.tryDescribe(model.name);
      const reason = decideRetrain(
        {
          now: clock.now(),
          publishedAt: published?.manifest.publishedAt,
          triedAt: this.triedAt.get(model.name),
          hasDrifted: this.watches.get(model.name)!.hasDrifted(),
        },
        limits,
      );
      if (reason === undefined || this.stopping.signal.aborted) continue;
      this.triedAt.set(model.name, clock.now());
      await this.train(model, reason);
    }
  }

  private async train(model: TrainedModel, reason: RetrainReason): Promise<void> {
    const { data, warehouse, logger, metrics, clock } = this.options;
    const { name } = model;
    const start = clock.monotonic();
    logger.info('training', { model: name, algorithm: model.algorithm, reason, ...this.watches.get(name)!.current });
    const exported = await exportInteractions(warehouse, join(data, 'training', name), this.stopping.signal);
    if (exported.rows === 0) return logger.info('nothing to learn from yet', { model: name });
    const { code, said } = await this.run(this.argumentsOf(model, exported));
    const outcome = code === 0 ? 'published' : this.stopping.signal.aborted ? 'stopped' : 'failed';
    metrics.counter('trainings_total', 'Trainings beside the engine.', { model: name, reason, outcome }).inc();
    const seconds = Math.round((clock.monotonic() - start) / 1_000);
    if (outcome === 'failed')
      logger.warn('training failed', { model: name, reason, rows: exported.rows, seconds, said });
    else logger.info('training ended', { model: name, reason, outcome, rows: exported.rows, seconds });
  }

  private argumentsOf(model: TrainedModel, { file, mapping }: { file: string; mapping: string }): string[] {
    const { config, data, modelsFolder } = this.options;
    return [
      ...['train', model.algorithm, '--name', model.name, '--file', file, '--mapping', mapping],
      ...['--models', modelsFolder, '--data', data, '--margin', String(config.margin)],
      ...['--memory', String(config.memoryMiB), '--threads', String(config.threads)],
      ...(model.warm ? ['--warm'] : []),
      ...Object.entries(model.options).flatMap(([option, value]) => ['--option', `${option}=${String(value)}`]),
    ];
  }

  private async run(args: readonly string[]): Promise<CliEnd> {
    const { child, ended } = startCli(args);
    this.child = child;
    // What lowers the priority may be missing on a system; the training runs all the same.
    if (child.pid !== undefined) tryQuietly(() => setPriority(child.pid!, this.options.config.niceness));
    try {
      return await ended;
    } finally {
      this.child = undefined;
    }
  }
}

function tryQuietly(act: () => void): void {
  try {
    act();
  } catch {
    // Nothing follows from it.
  }
}
