/**
 * Follows the topic `models`: which version of which model this node uses, and how it comes to use another.
 *
 *   announced ──▶ waiting ──load, verify, build beside──▶ ready ──swap──▶ in use
 *                    └────────── anything does not fit ──────────▶ refused, the one in use stays
 *
 * Announcements come in the order of the topic; one is loaded at a time, and of several for a name that wait only the
 * latest. A swap is one assignment between two requests (requests are answered synchronously), so none sees half of it and
 * none fails for it. A version is refused when the registry's manifest is not the announced one, a signature or hash does
 * not fit, the model cannot be read, or its answers to two probes are not numbers. Told: a warning, a metric, `list()`.
 *
 * Concurrency: `apply` may be called at any time; it only queues. Idempotent: the version in use is not loaded again.
 */
import { decodeRecord } from '../../schemas/codec.js';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { ModelPublished } from '../../schemas/records.js';
import type { Clock } from '../../streams/clock.js';
import type { LogRecord } from '../../streams/log/event-log.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import type { ServingConfig } from '../config.js';
import { MODELS_MAX } from '../config.js';
import { requireAlgorithm } from '../models/algorithms.js';
import { readCandidates } from '../models/candidates/candidate-parts.js';
import type { LiveUsage, Model } from '../models/model.js';
import { readManifest, readVersionFiles, USER_IDS } from '../models/published-version.js';
import type { ModelSources } from '../pipeline/recommender.js';
import type { PipelineStage } from '../pipeline/slate.js';
import type { ItemTables } from '../tables/item-tables.js';
import { createModelScorerStage } from './model-scorer.js';
import { type ModelSlot, ModelSource } from './model-source.js';
import { type SearchKind, ServedModel } from './served-model.js';

export interface PublishedModelsOptions {
  readonly config: ServingConfig;
  /** The registry's folder; it need not exist before something is announced. */
  readonly folder: string;
  readonly tables: ItemTables;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** What `GET /v1/models` tells of a model. */
export interface ModelStatus {
  readonly name: string;
  /** Null while no version could be used. */
  readonly version: string | null;
  readonly algorithm: string | null;
  readonly spaceId: string | null;
  readonly items: number | null;
  readonly metrics: Readonly<Record<string, number>>;
  readonly weight: number;
  /** When this node began to use it, ms since epoch. */
  readonly since: number | null;
  /** How it is searched, and the share of the true best that an index finds. */
  readonly search: SearchKind | null;
  readonly recall: number | null;
  readonly liveStates: LiveUsage | null;
  /** The announced version that is not used, and why. */
  readonly refused: { readonly version: string; readonly code: string; readonly message: string } | null;
}

interface Entry {
  readonly slot: ModelSlot;
  since: number | undefined;
  /** Version announced last; undefined when the model was withdrawn. */
  wanted: string | undefined;
  refused: ModelStatus['refused'];
}

/** A model is loaded by one thread: the others belong to the requests. */
const LOAD_THREADS = 1;

export class PublishedModels {
  readonly sources: ModelSources;
  /** Stages for `full`: the configured scorer, if any. */
  readonly stages: readonly PipelineStage[];
  private readonly entries = new Map<string, Entry>();
  private readonly slots: readonly ModelSlot[];
  private readonly waiting = new Map<string, ModelPublished>();
  private loading: Promise<void> | undefined;
  private closed = false;

  constructor(private readonly options: PublishedModelsOptions) {
    const { config } = options;
    this.slots = Array.from({ length: MODELS_MAX }, (_, i) => {
      const { name = '', weight = config.modelWeight, push } = config.models[i] ?? {};
      return { name, weight, isPushed: push, current: undefined };
    });
    const sourcesOf = (pipeline: 'full' | 'push', budgetMs: number): ModelSource[] => {
      const limits = { budgetMs, pauseMs: config.modelPauseMs };
      return this.slots.map((slot) => new ModelSource(slot, { ...options, pipeline, limits }));
    };
    this.sources = {
      full: sourcesOf('full', config.modelBudgetMs),
      push: sourcesOf('push', config.modelPushBudgetMs),
    };
    this.stages = this.scorerStages();
  }

  /** For `TableFollowerOptions.apply`. An empty value withdraws the model. */
  apply(record: LogRecord): void {
    if (record.value.length === 0) {
      this.withdraw(record.key);
      return;
    }
    const announced = decodeRecord(record.value);
    if (announced.kind !== 'ModelPublished' || !this.isWanted(announced.name)) return;
    this.entries.get(announced.name)!.wanted = announced.version;
    this.waiting.set(announced.name, announced);
    this.loadSoon();
  }

  /** Resolves when everything announced so far is in use or refused. */
  async settled(): Promise<void> {
    while (this.loading !== undefined) await this.loading;
  }

  list(): ModelStatus[] {
    return [...this.entries].map(([name, { slot, since, refused }]) => {
      const { current, weight } = slot;
      const manifest = current?.manifest;
      return {
        name,
        version: manifest?.version ?? null,
        algorithm: manifest?.algorithm ?? null,
        spaceId: manifest?.spaceId ?? null,
        items: manifest?.itemCount ?? null,
        metrics: manifest?.metrics ?? {},
        weight,
        since: since ?? null,
        search: current?.searchKind ?? null,
        recall: current?.recall ?? null,
        liveStates: current?.live?.usage() ?? null,
        refused,
      };
    });
  }

  /** Versions in use, for who measures them on what people do. */
  allInUse(): ServedModel[] {
    return this.slots.flatMap(({ current }) => (current === undefined ? [] : [current]));
  }

  private inUse(name: string): ServedModel | undefined {
    return this.entries.get(name)?.slot.current;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.waiting.clear();
    await this.loading;
    for (const slot of this.slots) await this.replace(slot, undefined);
  }

  /** Configured names have their places; without configuration the first names published take them. */
  private isWanted(name: string): boolean {
    if (this.entries.has(name)) return true;
    const { models, modelScorer } = this.options.config;
    const isFree = models.length === 0 || name === modelScorer;
    const slot = this.slots.find((candidate) => candidate.name === name || (isFree && candidate.name === ''));
    if (slot === undefined) {
      if (models.length === 0)
        this.options.logger.warn('a published model finds no place', { model: name, placesMax: MODELS_MAX });
      return false;
    }
    if (slot.name === '' && models.length > 0) slot.weight = 0;
    slot.name = name;
    this.entries.set(name, { slot, since: undefined, wanted: undefined, refused: null });
    return true;
  }

  private loadSoon(): void {
    this.loading ??= this.loadWaiting().finally(() => {
      this.loading = undefined;
      if (this.waiting.size > 0) this.loadSoon();
    });
  }

  private async loadWaiting(): Promise<void> {
    for (;;) {
      const [next] = this.waiting.values();
      if (next === undefined) return;
      this.waiting.delete(next.name);
      await this.use(next);
    }
  }

  private async use(announced: ModelPublished): Promise<void> {
    const { clock, logger, metrics } = this.options;
    const { name, version } = announced;
    const entry = this.entries.get(name)!;
    if (entry.slot.current?.manifest.version === version) return;
    const start = clock.monotonic();
    try {
      const model = await this.build(announced);
      // Another version was announced, or none any more, while this one was read.
      if (this.closed || entry.wanted !== version) return await model.close();
      await this.replace(entry.slot, model);
      entry.since = clock.now();
      entry.refused = null;
      metrics.counter('models_swapped_total', 'Versions of published models put to use.', { model: name }).inc();
      this.tellLive(name);
      const { algorithm } = model.manifest;
      const loadMs = Math.round(clock.monotonic() - start);
      logger.info('published model in use', { model: name, version, algorithm, loadMs, recall: model.recall });
    } catch (error) {
      const code = isEngineError(error) ? error.code : 'MODEL_INVALID';
      entry.refused = { version, code, message: (error as Error).message };
      metrics.counter('models_refused_total', 'Announced versions that were not used.', { model: name, code }).inc();
      const inUse = entry.slot.current?.manifest.version ?? null;
      logger.warn('a published model is refused', { model: name, version, inUse, error });
    }
  }

  private async build(announced: ModelPublished): Promise<ServedModel> {
    const { folder, config, tables, clock, logger } = this.options;
    const published = await readManifest(folder, announced.name, announced.version);
    if (published.checksum !== announced.checksum || published.signature !== announced.signature) {
      throw new EngineError('MODEL_INVALID', `'${announced.name}' ${announced.version} is not what was announced.`);
    }
    const algorithm = await requireAlgorithm(published.manifest.algorithm);
    const { userFiles } = algorithm;
    const omitted = new Set([USER_IDS, ...(userFiles ?? [])]);
    const { manifest, files, itemIds } = await readVersionFiles(folder, published, omitted);
    const userCount = userFiles === undefined ? manifest.userCount : 0;
    const model = await algorithm.load({ ...manifest, userCount, files }, { clock, logger, threads: LOAD_THREADS });
    try {
      requireAnswers(model, itemIds);
      const { modelStateBytes: stateBytesMax, modelIndexFrom: indexFrom } = config;
      const nextTurn = (): Promise<void> => clock.nextTurn();
      const candidates = manifest.candidates && readCandidates({ ...manifest, files }, manifest.candidates);
      const parts = { model, manifest, itemIds, candidates };
      return await ServedModel.build({ ...parts, tables, stateBytesMax, indexFrom, nextTurn });
    } catch (error) {
      await model.close();
      throw error;
    }
  }

  private withdraw(name: string): void {
    this.waiting.delete(name);
    const entry = this.entries.get(name);
    if (entry === undefined) return;
    entry.since = undefined;
    entry.wanted = undefined;
    void this.replace(entry.slot, undefined);
    this.options.logger.info('published model withdrawn', { model: name });
  }

  private async replace(slot: ModelSlot, model: ServedModel | undefined): Promise<void> {
    const old = slot.current;
    slot.current = model;
    // Nobody asks it any more: requests are answered within one turn.
    await old?.close();
  }

  private tellLive(name: string): void {
    const usage = (): LiveUsage | undefined => this.inUse(name)?.live?.usage();
    if (usage() === undefined) return;
    const { metrics } = this.options;
    const labels = { model: name };
    metrics.gaugeOf('model_state_bytes', 'States of people that a model keeps.', () => usage()?.bytes ?? 0, labels);
    metrics.gaugeOf(
      'model_state_hit_rate',
      'Share of questions that went on from a kept state.',
      () => usage()?.hitRate ?? 0,
      labels,
    );
  }

  private scorerStages(): PipelineStage[] {
    const { config, metrics, logger } = this.options;
    const { modelScorer: name, modelScorerWeight: weight } = config;
    if (name === undefined || !this.isWanted(name)) return [];
    const faults = metrics.counter('model_faults_total', 'Questions that a published model threw on.', {
      model: name,
      pipeline: 'scorer',
    });
    const onFault = (error: unknown): void => {
      faults.inc();
      logger.debug('the scoring model failed', { model: name, error });
    };
    return [createModelScorerStage(this.entries.get(name)!.slot, { weight, onFault })];
  }
}

/** A model that answers strangers and people with numbers; what it ranks is the guardrail's business. */
function requireAnswers(model: Model, itemIds: readonly string[]): void {
  if (model.itemCount !== itemIds.length) {
    throw new EngineError('MODEL_INVALID', `The model has ${model.itemCount} items and ${itemIds.length} ids.`);
  }
  const history = Int32Array.from({ length: Math.min(PROBE_ITEMS, itemIds.length) }, (_, item) => item);
  for (const items of [new Int32Array(0), history]) {
    const { scores } = model.retrieve({ user: -1, items }, PROBE_ITEMS);
    if (!scores.every(Number.isFinite)) {
      throw new EngineError('MODEL_INVALID', 'The model answers a probe with what is not a number.');
    }
  }
}

const PROBE_ITEMS = 10;
