/**
 * `freshet bench serve`: recommendations over HTTP, asked for by users with a history at a steady rate, open loop.
 *
 * Measured is the full pipeline over a large catalogue with everything around it: HTTP, the read of the user's state,
 * the ranking, and the served record that each answer leaves in the log.
 */
import type { CommandContext } from '../commands/command.js';
import { Histogram } from './histogram.js';
import { EngineProcess, type EngineCost } from './load-engine.js';
import { HttpClient } from './load-http.js';
import { measureMachine, ownCpuSeconds } from './load-report.js';
import { runSchedule } from './load-schedule.js';
import { LoadWorld, requireTaken } from './load-world.js';

export interface ServeOptions {
  readonly items: number;
  readonly users: number;
  readonly rate: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly profile?: string | undefined;
  readonly set?: readonly string[] | undefined;
}

const CONNECTIONS = 32;
const HISTORY_EVENTS_PER_USER = 20;
const ITEMS_ASKED = 10;

export async function runServe(context: CommandContext, options: ServeOptions): Promise<void> {
  const { clock, terminal } = context;
  const { items, users, rate, profile, set = [] } = options;
  const machine = measureMachine(clock);
  const world = new LoadWorld({ items, users, seed: 'serve', nowMs: clock.now() });
  const engine = await EngineProcess.start({ clock, profile, set });
  const http = new HttpClient(engine.url, CONNECTIONS);
  try {
    terminal.say(`loading ${items} items and a history of ${users} users`);
    await world.loadCatalogue(http);
    await world.loadHistory(http, { eventsPerUser: HISTORY_EVENTS_PER_USER, users });
    await engine.idle();
    terminal.say('warming up and measuring');
    const figures = await askSteadily(context, options, { world, http, engine });
    terminal.result({ ...figures, items, users, rate, machine });
  } finally {
    http.close();
    await engine.stop();
  }
}

interface Parts {
  readonly world: LoadWorld;
  readonly http: HttpClient;
  readonly engine: EngineProcess;
}

async function askSteadily({ clock }: CommandContext, options: ServeOptions, { world, http, engine }: Parts) {
  const warmup = options.rate * options.warmup;
  const count = options.rate * (options.warmup + options.seconds);
  const latency = new Histogram();
  const answers: Promise<void>[] = [];
  let itemsReceived = 0;
  let before: Promise<EngineCost> | undefined;
  let startedMs = 0;
  let generatorCpu = 0;
  const ask = async (i: number, dueMs: number): Promise<void> => {
    const userId = world.userIds[world.randomUser()]!;
    const answer = await http.get(`/v1/users/${userId}/recommendations?limit=${ITEMS_ASKED}&placement=home`);
    if (i >= warmup) latency.add(clock.monotonic() - dueMs);
    requireTaken(answer);
    itemsReceived += (JSON.parse(answer.body.toString()) as { items: unknown[] }).items.length;
  };
  await runSchedule(clock, {
    ratePerSecond: options.rate,
    count,
    fire: (i, dueMs) => {
      if (i === warmup) {
        before = engine.cost();
        generatorCpu = ownCpuSeconds();
        startedMs = clock.monotonic();
      }
      answers.push(ask(i, dueMs));
    },
  });
  await Promise.all(answers);
  const seconds = (clock.monotonic() - startedMs) / 1_000;
  const generatorCpuSeconds = ownCpuSeconds() - generatorCpu;
  const after = await engine.cost();
  return {
    events: latency.count,
    seconds,
    cpuSeconds: after.cpuSeconds - (await before!).cpuSeconds,
    eventsPerSecond: latency.count / seconds,
    ...latency.quantiles(),
    maxRssBytes: after.maxRssBytes,
    generatorCpuSeconds,
    itemsPerAnswer: itemsReceived / count,
  };
}
