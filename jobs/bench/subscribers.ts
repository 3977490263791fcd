/**
 * `freshet bench subscribers`: what an open feed costs a serving process that has nothing to tell it, and how long it takes until
 * all of them were refreshed once.
 *
 *     catalogue, a short history ──▶ restart ──▶ memory ──▶ open all feeds ──▶ memory again ──▶ one event a subscriber ──▶ last feed
 *
 * The engine is a process of its own with all roles; memory is its anonymous memory, after its collector had time. It is started
 * anew on what was loaded: one that loaded it has room to spare that would hide what feeds take. Refreshing is
 * timed from the first event posted to the last subscriber's feed that names its event, both stages and all pipelines between.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { CommandContext } from '../commands/command.js';
import { Subscribers } from './load-client.js';
import { EngineProcess } from './load-engine.js';
import { HttpClient } from './load-http.js';
import { measureMachine } from './load-report.js';
import { LoadWorld, requireTaken } from './load-world.js';

export interface SubscribersBenchOptions {
  readonly subscribers: number;
  readonly items: number;
  readonly profile?: string | undefined;
  readonly set?: readonly string[] | undefined;
}

const PLACEMENT = 'home';
const FEED_ITEMS = 10;
const CONNECTIONS = 8;
const HISTORY_EVENTS_PER_USER = 3;
const EVENT_ID_PREFIX = 'refresh-';
const LIST_ENTRIES = 500;
/** An idle process gives memory back within this time. */
const SETTLE_MS = 8_000;
/** Feeds that did not come by then are missing. */
const REFRESH_MS_MAX = 120_000;
const LOOK_MS = 10;

export async function runSubscribers(context: CommandContext, options: SubscribersBenchOptions): Promise<void> {
  const { clock, terminal } = context;
  const { subscribers: users, items, profile } = options;
  const world = new LoadWorld({ items, users, seed: 'subscribers', nowMs: clock.now() });
  const set = [`serving.feedConnectionsMax=${users + 1_000}`, ...(options.set ?? [])];
  const directory = mkdtempSync(join(tmpdir(), 'freshet-bench-'));
  try {
    terminal.say(`loading ${items} items and a history of ${users} users`);
    await load(context, world, { directory, set });
    terminal.result(await measure(context, world, await EngineProcess.start({ clock, profile, set, directory })));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function load(
  { clock }: CommandContext,
  world: LoadWorld,
  place: { readonly directory: string; readonly set: readonly string[] },
): Promise<void> {
  const engine = await EngineProcess.start({ clock, ...place });
  const http = new HttpClient(engine.url, CONNECTIONS);
  try {
    await world.loadCatalogue(http);
    await world.loadHistory(http, { eventsPerUser: HISTORY_EVENTS_PER_USER, users: world.userIds.length });
    await engine.idle();
  } finally {
    http.close();
    await engine.stop();
  }
}

async function measure(context: CommandContext, world: LoadWorld, engine: EngineProcess) {
  const { clock, terminal } = context;
  const machine = measureMachine(clock);
  const users = world.userIds.length;
  const http = new HttpClient(engine.url, CONNECTIONS);
  try {
    const before = await settled(context, engine);
    const waiting = new Set<string>();
    let lastMs = NaN;
    const onFeed = (eventIds: readonly string[]): void => {
      for (const eventId of eventIds) if (waiting.delete(eventId)) lastMs = clock.monotonic();
    };
    const openedMs = clock.monotonic();
    const { userIds } = world;
    const feeds = await Subscribers.open({ url: engine.url, userIds, placement: PLACEMENT, limit: FEED_ITEMS, onFeed });
    const openSeconds = (clock.monotonic() - openedMs) / 1_000;
    const after = await settled(context, engine);
    terminal.say(`${users} feeds are open; refreshing all`);
    for (let i = 0; i < users; i++) waiting.add(`${EVENT_ID_PREFIX}${i}`);
    const startedMs = clock.monotonic();
    await postOneEach(world, http);
    while (waiting.size > 0 && clock.monotonic() - startedMs < REFRESH_MS_MAX) await clock.sleep(LOOK_MS);
    await feeds.close();
    if (waiting.size > 0) {
      throw new EngineError(
        'NOT_READY',
        `${waiting.size} of ${users} subscribers were not refreshed in ${REFRESH_MS_MAX} ms.`,
      );
    }
    return {
      bench: 'subscribers',
      subscribers: users,
      bytesPerSubscriber: Math.round((after - before) / users),
      openSeconds,
      refreshSeconds: (lastMs - startedMs) / 1_000,
      machine,
      after: measureMachine(clock),
    };
  } finally {
    http.close();
    await engine.stop();
  }
}

async function settled({ clock }: CommandContext, engine: EngineProcess): Promise<number> {
  await engine.idle();
  await clock.sleep(SETTLE_MS);
  const bytes = engine.anonymousBytes();
  if (bytes !== undefined) return bytes;
  return (await engine.cost()).rssBytes;
}

async function postOneEach(world: LoadWorld, http: HttpClient): Promise<void> {
  const answers = [];
  for (let from = 0; from < world.userIds.length; from += LIST_ENTRIES) {
    const entries: string[] = [];
    for (let user = from; user < Math.min(from + LIST_ENTRIES, world.userIds.length); user++) {
      entries.push(world.event(user, `${EVENT_ID_PREFIX}${user}`));
    }
    answers.push(http.post('/v1/events', `[${entries.join()}]`));
  }
  for (const answer of await Promise.all(answers)) requireTaken(answer);
}
