/**
 * `freshet simulate`: seeded people with hidden tastes use the engine; whether it learns them is measured.
 *
 * The engine runs in this process, on a data directory or a temporary one. Slates come from its full pipeline; feedback
 * goes into its log. Without the engine the same people see slates of popular items: the floor to compare with.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '../engine/engine.js';
import { createRecommender } from '../../serving/pipeline/recommender.js';
import { createUserStates } from '../engine/serving.js';
import { measureLearning, summaryLine } from '../simulate/learning.js';
import type { TrafficRecord } from '../simulate/traffic-records.js';
import type { RecommendationWish, TrafficTarget } from '../simulate/traffic.js';
import { createWorld } from '../simulate/world.js';
import type { FreshetConfig } from '../config.js';
import { loadConfig } from './command.js';
import type { CommandContext } from './command.js';

export interface SimulateOptions {
  readonly data?: string | undefined;
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly seed: string;
  readonly events: number;
  readonly users: number;
  readonly items: number;
}

export async function runSimulate(context: CommandContext, options: SimulateOptions): Promise<void> {
  const { clock, random, logger, terminal } = context;
  const config = loadConfig(options);
  const directory = options.data ?? mkdtempSync(join(tmpdir(), 'freshet-simulate-'));
  const engine = await Engine.open({ config, directory, clock, random, logger });
  try {
    await engine.start();
    const world = createWorld({ seed: options.seed, users: options.users, items: options.items });
    const target = createLocalTarget(engine, config);
    const start = clock.monotonic();
    const { report, counts } = await measureLearning(world, target, {
      clock,
      events: options.events,
      onSlate: () => terminal.progress(() => 'simulating'),
    });
    await engine.drain();
    const seconds = (clock.monotonic() - start) / 1_000;
    terminal.say(summaryLine(counts, report));
    const { ctrRandom, ctrFirst, ctrLast, ctrOracle, reached, slates } = report;
    const { interactions, impressions, visits, published } = counts;
    terminal.result({
      interactions,
      impressions,
      visits,
      published,
      slates,
      seconds,
      ctrRandom,
      ctrFirst,
      ctrLast,
      ctrOracle,
      reached,
    });
  } finally {
    await engine.close();
    if (options.data === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

/** Records straight into the log; recommendations from the full pipeline, once everything sent has been learned. */
function createLocalTarget(engine: Engine, config: FreshetConfig): TrafficTarget {
  const recommender = createRecommender({}, engine.tables);
  const users = createUserStates(engine, config);
  return {
    publish: (records) => publish(engine, records),
    recommend: async ({ userId, limit, placement, context, at }) => {
      await engine.drain();
      const [view] = await users.read([userId], at);
      const pageItem = context.itemId === undefined ? undefined : { itemId: context.itemId };
      const { items } = recommender.recommend({ user: view!.snapshot, placement, limit, context: pageItem, now: at });
      return { requestId: `${userId}-${at}`, items };
    },
  };
}

/** Records straight into the log of a running engine; recommendations over HTTP, as any client asks. */
export function createDemoTarget(engine: Engine, url: string): TrafficTarget {
  return {
    publish: (records) => publish(engine, records),
    recommend: async ({ userId, limit, placement, context }: RecommendationWish) => {
      const query = new URLSearchParams({ limit: String(limit), placement });
      if (typeof context.device === 'string') query.set('device', context.device);
      if (typeof context.country === 'string') query.set('country', context.country);
      const response = await fetch(`${url}/v1/users/${encodeURIComponent(userId)}/recommendations?${query.toString()}`);
      if (!response.ok) throw new Error(`recommendations answered ${response.status}: ${await response.text()}`);
      return (await response.json()) as { requestId: string; items: { itemId: string }[] };
    },
  };
}

async function publish(engine: Engine, records: readonly TrafficRecord[]): Promise<void> {
  const { log } = engine.storage;
  const items = records.filter(({ stream }) => stream === 'item');
  const users = records.filter(({ stream }) => stream === 'user');
  if (items.length > 0) await log.append(engine.topic('itemEvents'), items);
  if (users.length > 0) await log.append(engine.topic('userEvents'), users);
}
