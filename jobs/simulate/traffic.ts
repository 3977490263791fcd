/**
 * Drives a target with the traffic of a simulated world: the catalogue first, then what people do, in order of time.
 *
 * Two ways. Without a rate: as fast as the target takes it, one step after the other; the same seed and slates give the
 * same bytes, and event time is the world's. With a rate: open loop, so many records a second by the clock, whatever the
 * target does; event time is the clock's and the world goes as fast as the rate demands (5,000 people make about one
 * record a second: 100/s is a world in which an hour takes 40 s).
 *
 * Bounded: one publish in flight, `PENDING_MAX` records behind it, `ASKS_MAX` recommendations awaited. Beyond the second,
 * records are late (`counts.behindMost`); beyond the third, people look around by themselves (`counts.unasked`).
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { ContextDraft } from '../../schemas/records.js';
import { SLATE_LENGTH, type BehaviourOptions, type ShownSlate, type Visit, type Ask } from './behaviour.js';
import { Histories } from './histories.js';
import { RecordWriter, writeCatalogue, type RecordCounts, type TrafficRecord } from './traffic-records.js';
import { Visits, type PendingVisit } from './visits.js';
import type { World } from './world.js';

export interface RecommendationWish {
  readonly userId: string;
  readonly limit: number;
  readonly placement: string;
  /** Device, country and the like; `itemId` when the slate stands on an item's page. */
  readonly context: ContextDraft & { readonly itemId?: string | undefined; readonly sessionId: string };
  /** Event time of the wish, ms since epoch. */
  readonly at: number;
}

export interface TrafficTarget {
  /** Takes records in this order. Called again only after it resolved. */
  publish(records: readonly TrafficRecord[]): Promise<void>;
  /** When absent the simulator makes the slates and writes served impressions. */
  recommend?(
    wish: RecommendationWish,
  ): Promise<{ readonly requestId: string; readonly items: readonly { readonly itemId: string }[] }>;
}

export interface TrafficOptions extends BehaviourOptions {
  readonly clock: Clock;
  /** Records a second, open loop; as fast as the target takes them when absent. */
  readonly ratePerSecond?: number | undefined;
  /** Ends after so many records of people; Infinity by default: give a signal. */
  readonly events?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Part of all ids; default the seed, with a rate also the start time, so that a second run is not taken for a repeat. */
  readonly runId?: string | undefined;
  /** Whether to send the items that are out at the start; default true. */
  readonly catalogue?: boolean | undefined;
  /** Called with what the target rejected; records or slate are given up and traffic goes on. Default: the run rejects. */
  readonly onFault?: ((error: unknown) => void) | undefined;
  /** Records handed over at once, at most; default 200. */
  readonly batchRecords?: number | undefined;
}

export interface TrafficCounts extends RecordCounts {
  /** Records that the target took. */
  published: number;
  visits: number;
  /** Slates that people were shown. */
  slates: number;
  /** Pages without recommendation because too many were awaited. */
  unasked: number;
  /** Publishes and recommendations that the target rejected. */
  faults: number;
  /** Most records by which the run was behind its rate. */
  behindMost: number;
  /** The world's time, ms since epoch. */
  worldTime: number;
}

const PENDING_MAX = 20_000;
const ASKS_MAX = 256;
const BATCH_RECORDS = 200;
/** Waking this often keeps a rate within a few records. */
const TICK_MS = 10;

export class Traffic {
  private readonly writer: RecordWriter;
  private readonly histories: Histories;
  private readonly visits: Visits;
  private readonly runId: string;
  private readonly batchRecords: number;
  private readonly eventsMax: number;
  private readonly tally = { published: 0, slates: 0, unasked: 0, faults: 0, behindMost: 0 };
  private pending: TrafficRecord[] = [];
  private events = 0;
  private requests = 0;
  private nextItem: number;
  private asking = 0;
  private publishing: Promise<void> | undefined;
  private failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly world: World,
    private readonly target: TrafficTarget,
    private readonly options: TrafficOptions,
  ) {
    const { ratePerSecond, clock, events = Infinity, batchRecords = BATCH_RECORDS } = options;
    if (ratePerSecond !== undefined && !(ratePerSecond > 0)) {
      throw new EngineError('CONFIG_INVALID', `ratePerSecond is ${ratePerSecond}, expected a number above 0.`);
    }
    this.eventsMax = events;
    this.batchRecords = batchRecords;
    this.runId = options.runId ?? `${world.seed}${ratePerSecond === undefined ? '' : `-${clock.now().toString(36)}`}`;
    this.histories = new Histories(world);
    this.writer = new RecordWriter(world, this.histories, this.runId);
    this.visits = new Visits(world, this.histories, {
      runId: this.runId,
      random: world.stream('traffic'),
      behaviour: options,
    });
    this.nextItem = world.catalogue.publishedCount(world.startMs);
  }

  /** Also while running. */
  get counts(): TrafficCounts {
    const { writer, visits, tally } = this;
    return { ...writer.counts, ...tally, visits: visits.started, worldTime: Math.round(visits.now) };
  }

  /** Runs to the end: all events, or the signal. Everything made has been taken, or given up, when it resolves. */
  async run(): Promise<TrafficCounts> {
    if (this.options.catalogue !== false) await this.sendCatalogue();
    if (this.options.ratePerSecond === undefined) await this.runFast();
    else await this.runPaced(this.options.ratePerSecond);
    await this.drain();
    return this.counts;
  }

  private async sendCatalogue(): Promise<void> {
    for (const batch of writeCatalogue(this.world, this.writer, this.eventTime(this.world.startMs))) {
      if (this.isOver) return;
      this.pending.push(...batch);
      await this.flush();
    }
  }

  private async runFast(): Promise<void> {
    while (!this.isOver) {
      const pending = this.visits.next();
      this.publishNews();
      if (pending.step.kind !== 'ask') this.act(pending);
      else if (this.target.recommend === undefined) this.answer(pending, this.ownSlate(pending));
      else {
        // What the person did so far comes first: a recommendation may depend on it.
        await this.flush();
        this.answer(pending, await this.askFor(pending, pending.step));
      }
      if (this.pending.length >= this.batchRecords) {
        await this.flush();
        await this.options.clock.nextTurn();
      }
    }
  }

  private async runPaced(ratePerSecond: number): Promise<void> {
    const { clock } = this.options;
    const startedAt = clock.monotonic();
    while (!this.isOver) {
      const due = Math.min(this.eventsMax, ((clock.monotonic() - startedAt) * ratePerSecond) / 1_000);
      while (this.events < due && this.pending.length < PENDING_MAX) this.stepOnce();
      this.tally.behindMost = Math.max(this.tally.behindMost, Math.floor(due) - this.events);
      this.pump();
      await clock.sleep(TICK_MS);
    }
  }

  private stepOnce(): void {
    const pending = this.visits.next();
    const { step } = pending;
    this.publishNews();
    if (step.kind !== 'ask') this.act(pending);
    else if (this.target.recommend === undefined) this.answer(pending, this.ownSlate(pending));
    else if (this.asking >= ASKS_MAX) {
      this.tally.unasked++;
      this.answer(pending, undefined);
    } else {
      this.asking++;
      // askFor never rejects: faults are kept and end the run at its next look.
      void this.askFor(pending, step).then((slate) => {
        this.asking--;
        this.answer(pending, slate);
      });
    }
  }

  private act(pending: PendingVisit): void {
    const { step, visit } = pending;
    if (step.kind === 'ask') return;
    this.pending.push(this.writer.writeAct(visit, step, this.eventTime(step.at)));
    this.events++;
    this.visits.resume(pending);
  }

  private answer(pending: PendingVisit, slate: ShownSlate | undefined): void {
    this.visits.resume(pending, slate);
  }

  /** Items that come out as the world's time passes. */
  private publishNews(): void {
    const { publishedAt, count } = this.world.catalogue;
    while (this.nextItem < count && publishedAt[this.nextItem]! <= this.visits.now) {
      this.pending.push(this.writer.writeItem(this.nextItem++, this.eventTime(this.visits.now)));
    }
  }

  private ownSlate({ visit, step }: PendingVisit): ShownSlate {
    const taste = this.world.tasteAt(visit.person, step.at);
    const items = this.world.popularSlate(taste, SLATE_LENGTH, visit.random);
    const slate = {
      requestId: `${this.runId}-r${this.requests++}`,
      items,
      itemIds: items.map((item) => this.world.catalogue.ids[item]!),
    };
    const placement = (step as Ask).placement;
    this.pending.push(this.writer.writeServed(visit, slate, { placement, ts: this.eventTime(step.at) }));
    this.events++;
    this.tally.slates++;
    return slate;
  }

  private async askFor({ visit }: { visit: Visit }, ask: Ask): Promise<ShownSlate | undefined> {
    const { ids } = this.world.catalogue;
    const context = this.writer.contextOf(visit.person, ask.placement === 'item' ? 'item' : 'home');
    try {
      const { requestId, items } = await this.target.recommend!({
        userId: this.histories.idOf(visit.person),
        limit: SLATE_LENGTH,
        placement: ask.placement,
        context: {
          ...context,
          sessionId: visit.sessionId,
          ...(ask.item === undefined ? {} : { itemId: ids[ask.item]! }),
        },
        at: this.eventTime(ask.at),
      });
      if (items.length > 0) this.tally.slates++;
      const itemIds = items.map((item) => item.itemId);
      return { requestId, itemIds, items: itemIds.map((id) => this.world.catalogue.indexOf(id)) };
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  /** Starts handing over what is pending, unless that is under way; goes on until nothing is left. */
  private pump(): void {
    this.publishing ??= this.publishAll().finally(() => (this.publishing = undefined));
  }

  private async publishAll(): Promise<void> {
    while (this.pending.length > 0 && this.failure === undefined) {
      const batch = this.pending.splice(0, this.batchRecords);
      try {
        await this.target.publish(batch);
        this.tally.published += batch.length;
      } catch (error) {
        this.fail(error);
      }
    }
  }

  private async flush(): Promise<void> {
    this.pump();
    await this.publishing;
  }

  private async drain(): Promise<void> {
    while (this.failure === undefined && (this.asking > 0 || this.pending.length > 0)) {
      await this.flush();
      if (this.asking > 0) await this.options.clock.sleep(TICK_MS);
    }
    await this.publishing;
    if (this.failure !== undefined) throw this.failure.error;
  }

  private fail(error: unknown): void {
    this.tally.faults++;
    if (this.options.onFault !== undefined) this.options.onFault(error);
    else this.failure ??= { error };
  }

  private get isOver(): boolean {
    return this.events >= this.eventsMax || this.failure !== undefined || this.options.signal?.aborted === true;
  }

  private eventTime(worldTime: number): number {
    return this.options.ratePerSecond === undefined ? Math.round(worldTime) : this.options.clock.now();
  }
}

/** Runs the traffic of a world into a target; see `TrafficOptions`. */
export function runTraffic(world: World, target: TrafficTarget, options: TrafficOptions): Promise<TrafficCounts> {
  return new Traffic(world, target, options).run();
}
