/**
 * Retrieval source `model/NAME`: candidates of one published model, asked with the person's own history.
 *
 * A slot is empty until its model is published; its weight is then 0 and the pipeline does not ask it. A model that throws
 * or is slow offers nothing and is left out for a while (model-guard.ts); what happened in a request is kept until the
 * next one, for its reasons and for what is told of it.
 */
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Counter, Histogram, Metrics } from '../../streams/metrics.js';
import type { ReasonWording } from '../retrieval/reason-wording.js';
import type { WeightedSource } from '../pipeline/recommender.js';
import type { RetrievalRequest } from '../retrieval/request.js';
import type { CandidateBuffer, RetrievalSource, ToldReason } from '../retrieval/source.js';
import type { ItemTables } from '../tables/item-tables.js';
import { type LeftOutReason, type GuardLimits, ModelGuard } from './model-guard.js';
import { modelReasonText } from './model-reasons.js';
import { type Answer, confidenceOfBasis, type ServedModel } from './served-model.js';

/** Where a version is put to use: one assignment of `current`. Given to a name when that is first published. */
export interface ModelSlot {
  name: string;
  weight: number;
  /** Whether feeds pushed on every event ask it too; undefined: when it keeps states of people. */
  isPushed: boolean | undefined;
  current: ServedModel | undefined;
}

export interface ModelSourceOptions {
  readonly pipeline: 'full' | 'push';
  readonly limits: GuardLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Source name of what was retrieved for somebody with too few interactions. */
const COLD_START_SOURCE = 'cold_start';

export class ModelSource implements RetrievalSource, WeightedSource {
  readonly reason = 'taste';
  readonly source = this;
  private readonly guard: ModelGuard;
  private told: Series | undefined;
  private answer: Answer | undefined;
  private notAsked: LeftOutReason | undefined;

  constructor(
    private readonly slot: ModelSlot,
    private readonly options: ModelSourceOptions,
  ) {
    this.guard = new ModelGuard(options.limits);
  }

  get name(): string {
    return `model/${this.slot.name}`;
  }

  get weight(): number {
    const { current, isPushed, weight } = this.slot;
    if (current === undefined) return 0;
    const isAsked = this.options.pipeline === 'full' || (isPushed ?? current.live !== undefined);
    return isAsked ? weight : 0;
  }

  retrieve(request: RetrievalRequest, _tables: ItemTables, into: CandidateBuffer): void {
    const { clock } = this.options;
    const model = this.slot.current;
    this.answer = undefined;
    const start = clock.monotonic();
    this.notAsked = this.guard.leftOut(start);
    if (this.notAsked !== undefined) this.series.leftOut[this.notAsked].inc();
    if (model === undefined || this.notAsked !== undefined) return;
    try {
      this.answer = model.ask(request, into.capacity);
    } catch (error) {
      this.fail(error, start);
      return;
    }
    const { items, scores } = this.answer.ranked;
    for (let i = 0; i < items.length; i++) {
      const item = model.tableItemOf(items[i]!);
      if (item >= 0 && !request.isContext(item)) into.offer(item, scores[i]!);
    }
    const end = clock.monotonic();
    this.series.askMs.observe(end - start);
    if (this.guard.answered(end - start, end)) this.say('slow', { milliseconds: Math.round(end - start) });
  }

  tell(item: number, wording: ReasonWording): ToldReason {
    const model = this.slot.current;
    const { answer } = this;
    if (model === undefined || answer === undefined) return { text: modelReasonText(undefined, wording, noTitle) };
    const reason = modelReasonText(model.reasonFor(answer, item), wording, (other) => model.titleOf(other));
    const confidence = confidenceOfBasis(answer);
    return confidence === undefined ? { text: reason } : { text: reason, confidence, source: COLD_START_SOURCE };
  }

  /** Version whose candidates went into the request just answered. */
  usedVersion(): string | undefined {
    return this.answer === undefined ? undefined : this.slot.current?.manifest.version;
  }

  /** Why the model was not asked in the request just answered. */
  leftOut(): LeftOutReason | undefined {
    return this.slot.current === undefined ? undefined : this.notAsked;
  }

  /** Made when the slot has its name. */
  private get series(): Series {
    const { metrics, pipeline } = this.options;
    return (this.told ??= seriesOf(metrics, { model: this.slot.name, pipeline }));
  }

  private fail(error: unknown, now: number): void {
    this.series.faults.inc();
    this.notAsked = 'failing';
    if (this.guard.failed(now)) this.say('failing', { error });
  }

  private say(why: LeftOutReason, context: Readonly<Record<string, unknown>>): void {
    const { logger, pipeline, limits } = this.options;
    const { name, current } = this.slot;
    const version = current?.manifest.version;
    logger.warn('a published model is left out', {
      model: name,
      version,
      pipeline,
      why,
      ms: limits.pauseMs,
      ...context,
    });
  }
}

interface Series {
  readonly askMs: Histogram;
  readonly faults: Counter;
  readonly leftOut: Readonly<Record<LeftOutReason, Counter>>;
}

function seriesOf(metrics: Metrics, labels: Readonly<Record<string, string>>): Series {
  const leftOut = (why: LeftOutReason): Counter =>
    metrics.counter('model_left_out_total', 'Requests answered without a model that fails or is slow.', {
      ...labels,
      why,
    });
  return {
    askMs: metrics.histogram('model_ask_ms', 'Time a published model took to retrieve candidates.', { labels }),
    faults: metrics.counter('model_faults_total', 'Questions that a published model threw on.', labels),
    leftOut: { failing: leftOut('failing'), slow: leftOut('slow') },
  };
}

const noTitle = (): undefined => undefined;
