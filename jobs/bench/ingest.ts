/**
 * `freshet bench ingest`: how fast events are taken over HTTP, each durable before its request is answered.
 *
 * Two figures from one engine: single events a request, then lists. Closed loop: each client sends its next request when
 * the last was answered. The stages run beside it as they always do; how long they took to catch up is told with the
 * figures. An engine that is too far behind refuses events for a while: the client then waits as long as it was asked to,
 * sends the same again, and the wait counts as time; only what was taken counts as events.
 */
import type { CommandContext } from '../commands/command.js';
import { Histogram } from './histogram.js';
import { EngineProcess } from './load-engine.js';
import { HttpClient } from './load-http.js';
import { measureMachine, ownCpuSeconds } from './load-report.js';
import { LoadWorld, requireTaken } from './load-world.js';

export interface IngestBenchOptions {
  readonly clients: number;
  /** Events of a list. */
  readonly batch: number;
  readonly items: number;
  readonly users: number;
  /** Of each of the two. */
  readonly seconds: number;
  readonly warmup: number;
  readonly profile?: string | undefined;
  readonly set?: readonly string[] | undefined;
}

export async function runIngest(context: CommandContext, options: IngestBenchOptions): Promise<void> {
  const { clock, terminal } = context;
  const { clients, batch, items, users, profile, set = [] } = options;
  const machine = measureMachine(clock);
  const world = new LoadWorld({ items, users, seed: 'ingest', nowMs: clock.now() });
  const engine = await EngineProcess.start({ clock, profile, set });
  const http = new HttpClient(engine.url, clients);
  try {
    await world.loadCatalogue(http);
    await engine.idle();
    const load = { world, http, engine };
    terminal.say(`${clients} clients, one event a request`);
    const singles = await measureClosedLoop(context, options, { ...load, name: 'single', eventsPerRequest: 1 });
    terminal.say(`${clients} clients, ${batch} events a request`);
    const batches = await measureClosedLoop(context, options, { ...load, name: 'batch', eventsPerRequest: batch });
    terminal.result({ ...singles, batches, clients, batch, items, users, machine });
  } finally {
    http.close();
    await engine.stop();
  }
}

interface ClosedLoop {
  readonly world: LoadWorld;
  readonly http: HttpClient;
  readonly engine: EngineProcess;
  readonly name: string;
  readonly eventsPerRequest: number;
}

async function measureClosedLoop({ clock }: CommandContext, options: IngestBenchOptions, load: ClosedLoop) {
  const { world, http, engine, name, eventsPerRequest } = load;
  const latency = new Histogram();
  let made = 0;
  let refused = 0;
  let stopMs = clock.monotonic() + options.warmup * 1_000;
  let isMeasured = false;
  const body = (): string => {
    const events: string[] = [];
    for (let i = 0; i < eventsPerRequest; i++) events.push(world.event(world.randomUser(), `${name}-${made++}`));
    return eventsPerRequest === 1 ? events[0]! : `[${events.join()}]`;
  };
  const client = async (): Promise<void> => {
    while (clock.monotonic() < stopMs) {
      const sentMs = clock.monotonic();
      if ((await isTaken(body())) && isMeasured) latency.add(clock.monotonic() - sentMs);
    }
  };
  /** False: refused until the measurement ended. */
  const isTaken = async (text: string): Promise<boolean> => {
    for (;;) {
      const answer = await http.post('/v1/events', text);
      if (answer.retryAfterMs === undefined) {
        requireTaken(answer);
        return true;
      }
      if (isMeasured) refused++;
      if (clock.monotonic() >= stopMs) return false;
      await clock.sleep(answer.retryAfterMs);
    }
  };
  const allClients = (): Promise<unknown> => Promise.all(Array.from({ length: options.clients }, client));

  await allClients();
  await engine.idle();
  const before = await engine.cost();
  const generatorCpu = ownCpuSeconds();
  const startMs = clock.monotonic();
  stopMs = startMs + options.seconds * 1_000;
  isMeasured = true;
  await allClients();
  const seconds = (clock.monotonic() - startMs) / 1_000;
  const generatorCpuSeconds = ownCpuSeconds() - generatorCpu;
  const after = await engine.cost();
  await engine.idle();
  const events = latency.count * eventsPerRequest;
  return {
    events,
    seconds,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    eventsPerSecond: events / seconds,
    requestsPerSecond: latency.count / seconds,
    requestsRefused: refused,
    ...latency.quantiles(),
    maxRssBytes: after.maxRssBytes,
    generatorCpuSeconds,
    catchUpSeconds: (clock.monotonic() - startMs) / 1_000 - seconds,
  };
}
