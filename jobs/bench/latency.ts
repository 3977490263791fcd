/**
 * `freshet bench latency`: from a person's act to the refreshed feed on that person's screen.
 *
 *   event i is due ──▶ POST /v1/events ──▶ log, both stages, durable ──▶ feed that names i among its causes
 *        └──────────────────────── latency: from the due time to the feed's arrival ───────────────────────┘
 *
 * The engine is a process of its own with all roles, durable writes and a catalogue; the generator, this process, posts
 * each event in a request of its own, open loop, for users who each hold a feed open. Each run has a new engine.
 */
import type { CommandContext } from '../commands/command.js';
import { Histogram } from './histogram.js';
import { Subscribers } from './load-client.js';
import { EngineProcess, type EngineCost } from './load-engine.js';
import { HttpClient } from './load-http.js';
import { measureMachine, medianOf, ownCpuSeconds } from './load-report.js';
import { runSchedule } from './load-schedule.js';
import { LoadWorld } from './load-world.js';
import { engineServerSettings } from './servers.js';
import type { ServerOptions } from './servers.js';

export interface LatencyOptions extends ServerOptions {
  readonly subscribers: number;
  readonly rate: number;
  readonly items: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly runs: number;
  readonly profile?: string | undefined;
  readonly set?: readonly string[] | undefined;
}

const PLACEMENT = 'home';
const FEED_ITEMS = 10;
const CONNECTIONS = 64;
const HISTORY_EVENTS_PER_USER = 20;
/** After the last event, feeds have this long to come; a later one counts as missing. */
const GRACE_MS = 5_000;
const GRACE_LOOK_MS = 20;

export async function runLatency(context: CommandContext, options: LatencyOptions): Promise<void> {
  const { terminal, clock } = context;
  const machine = measureMachine(clock);
  const runs = [];
  for (let run = 1; run <= options.runs; run++) {
    const figures = await measureRun(context, options, run);
    runs.push(figures);
    const { p50Ms, p99Ms, maxMs, confirmedShare } = figures;
    const times = [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1)).join(' / ');
    terminal.say(`run ${run}: p50 / p99 / max ${times} ms, ${(confirmedShare * 100).toFixed(2)} % confirmed`);
  }
  const { subscribers, rate, items } = options;
  terminal.result({ ...medianOf(runs), subscribers, rate, items, machine, after: measureMachine(clock), runs });
}

async function measureRun(context: CommandContext, options: LatencyOptions, run: number) {
  const { clock, terminal } = context;
  const { subscribers: users, items, profile } = options;
  const set = [...engineServerSettings(options, context.random), ...(options.set ?? [])];
  const world = new LoadWorld({ items, users, seed: `latency-${run}`, nowMs: clock.now() });
  const engine = await EngineProcess.start({ clock, profile, set });
  const http = new HttpClient(engine.url, CONNECTIONS);
  try {
    terminal.say(`run ${run}: loading ${items} items and a history of ${users} users`);
    await world.loadCatalogue(http);
    await world.loadHistory(http, { eventsPerUser: HISTORY_EVENTS_PER_USER, users });
    await engine.idle();
    const { rssBytes } = await engine.cost();
    const trial = new Trial(context, options, { world, http, engine });
    const { userIds } = world;
    const onFeed = (eventIds: readonly string[]): void => trial.onFeed(eventIds);
    const feeds = await Subscribers.open({ url: engine.url, userIds, placement: PLACEMENT, limit: FEED_ITEMS, onFeed });
    const subscribed = await engine.cost();
    terminal.say(`run ${run}: ${userIds.length} feeds are open; warming up and measuring`);
    const figures = await trial.run(feeds);
    await feeds.close();
    return { ...figures, bytesPerSubscriber: Math.round((subscribed.rssBytes - rssBytes) / users) };
  } finally {
    http.close();
    await engine.stop();
  }
}

interface TrialParts {
  readonly world: LoadWorld;
  readonly http: HttpClient;
  readonly engine: EngineProcess;
}

/** The cost of both sides at one moment. */
interface Reading {
  readonly engine: EngineCost;
  readonly generatorCpuSeconds: number;
  readonly atMs: number;
  /** Requests answered so far. */
  readonly answered: number;
}

class Trial {
  private readonly rate: number;
  private readonly warmup: number;
  private readonly count: number;
  /** By event: when it was due; NaN before, and again once it was confirmed. */
  private readonly dueMs: Float64Array;
  private readonly latency = new Histogram();
  private readonly acknowledged = new Histogram();
  /** How late the generator itself was. */
  private readonly lateness = new Histogram();
  private answered = 0;
  private failed = 0;
  private firstFailure: unknown;

  constructor(
    private readonly context: CommandContext,
    { rate, warmup, seconds }: LatencyOptions,
    private readonly parts: TrialParts,
  ) {
    this.rate = rate;
    this.warmup = rate * warmup;
    this.count = rate * (warmup + seconds);
    this.dueMs = new Float64Array(this.count).fill(NaN);
  }

  async run(feeds: Subscribers) {
    const { clock } = this.context;
    let started: Promise<Reading> | undefined;
    let feedsBefore = 0;
    let bytesBefore = 0;
    await runSchedule(clock, {
      ratePerSecond: this.rate,
      count: this.count,
      fire: (i, dueMs) => {
        if (i === this.warmup) {
          started = this.read();
          ({ feeds: feedsBefore, feedBytes: bytesBefore } = feeds);
        }
        this.post(i, dueMs);
      },
    });
    const ended = await this.read();
    const before = await started!;
    await this.awaitFeeds();
    const events = this.count - this.warmup;
    if (this.failed > 0) this.context.terminal.say(`${this.failed} requests failed: ${String(this.firstFailure)}`);
    const seconds = (ended.atMs - before.atMs) / 1_000;
    const received = feeds.feeds - feedsBefore;
    return {
      events,
      seconds,
      cpuSeconds: ended.engine.cpuSeconds - before.engine.cpuSeconds,
      eventsPerSecond: (ended.answered - before.answered) / seconds,
      ...this.latency.quantiles(),
      maxRssBytes: ended.engine.maxRssBytes,
      confirmedShare: this.latency.count / events,
      failedRequests: this.failed,
      generatorCpuSeconds: ended.generatorCpuSeconds - before.generatorCpuSeconds,
      acknowledgedP50Ms: this.acknowledged.quantile(0.5),
      acknowledgedP99Ms: this.acknowledged.quantile(0.99),
      generatorLateP50Ms: this.lateness.quantile(0.5),
      generatorLateP99Ms: this.lateness.quantile(0.99),
      feedsPerEvent: received / events,
      bytesPerFeed: received === 0 ? 0 : Math.round((feeds.feedBytes - bytesBefore) / received),
    };
  }

  onFeed(eventIds: readonly string[]): void {
    const now = this.context.clock.monotonic();
    for (const eventId of eventIds) {
      const i = Number(eventId.slice(EVENT_ID_PREFIX.length));
      const dueMs = this.dueMs[i];
      // A feed may name an event again; the first one counts.
      if (dueMs === undefined || Number.isNaN(dueMs)) continue;
      this.dueMs[i] = NaN;
      if (i >= this.warmup) this.latency.add(now - dueMs);
    }
  }

  private post(i: number, dueMs: number): void {
    const { world, http } = this.parts;
    const { clock } = this.context;
    this.dueMs[i] = dueMs;
    const body = world.event(world.randomUser(), `${EVENT_ID_PREFIX}${i}`);
    const sent = http.post('/v1/events', body);
    const isMeasured = i >= this.warmup;
    if (isMeasured) this.lateness.add(clock.monotonic() - dueMs);
    sent.then(
      ({ status, body: answer }) => {
        this.answered++;
        if (status !== 202) this.fail(`status ${status}: ${answer.toString()}`);
        else if (isMeasured) this.acknowledged.add(clock.monotonic() - dueMs);
      },
      (error: unknown) => this.fail(error),
    );
  }

  private fail(reason: unknown): void {
    this.failed++;
    this.firstFailure ??= reason;
  }

  private async awaitFeeds(): Promise<void> {
    const { clock } = this.context;
    const deadlineMs = clock.monotonic() + GRACE_MS;
    while (clock.monotonic() < deadlineMs && this.latency.count < this.count - this.warmup) {
      await clock.sleep(GRACE_LOOK_MS);
    }
  }

  private async read(): Promise<Reading> {
    const atMs = this.context.clock.monotonic();
    const reading = { generatorCpuSeconds: ownCpuSeconds(), atMs, answered: this.answered };
    return { ...reading, engine: await this.parts.engine.cost() };
  }
}

const EVENT_ID_PREFIX = 'act-';
