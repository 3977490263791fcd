/**
 * What must have come of the acknowledged visits, recomputed from the client's books, beside what is there.
 *
 * Nothing of the engine's counting is used: sums over the books are compared with rows of the state store, tables and
 * views of the warehouse, and the feeds that subscribers hold. A thing that should be there and is not is lost; one that
 * is there more often than it should be is doubled.
 */
import type { Engine } from '../../jobs/engine/engine.js';
import { tryParseVersion } from '../../serving/feed/feed-version.js';
import { StateQuery } from '../../streams/queries/state-query.js';
import type { Warehouse } from '../../streams/warehouse/warehouse.js';
import type { ChaosSubscriber } from './chaos-subscribers.js';
import type { Visit } from './chaos-traffic.js';

export interface Verdict {
  lost: number;
  doubled: number;
  staleSubscribers: number;
  /** In words, a bounded number of them. */
  readonly faults: string[];
}

/** Longest half-life of an item's counts, and its place among them. */
const WEEK_MS = 7 * 24 * 3_600_000;
const WEEK_PLACE = 4;
/** Event times of tries that were not acknowledged are off by some seconds: far less than one event of a week's count. */
const COUNT_TOLERANCE = 0.3;
const REWARDS = { view: 0.2, click: 0.3 };
const FAULTS_SHOWN = 40;
const DEFAULTS = { faults: [] as string[], lost: 0, doubled: 0, staleSubscribers: 0 };

export interface Evidence {
  readonly visits: readonly Visit[];
  readonly engine: Engine;
  readonly warehouse: Warehouse;
  readonly subscribers: readonly ChaosSubscriber[];
}

export async function verify(evidence: Evidence): Promise<Verdict> {
  const verdict: Verdict = { ...DEFAULTS, faults: [] };
  await verifyPeople(evidence, verdict);
  await verifyItems(evidence, verdict);
  await verifySessions(evidence, verdict);
  await verifyRewards(evidence, verdict);
  await verifyTables(evidence, verdict);
  await verifySubscribers(evidence, verdict);
  return verdict;
}

/** Compares how often things are there with how often they should be. */
function compare(
  what: string,
  expected: ReadonlyMap<string, number>,
  actual: ReadonlyMap<string, number>,
  to: Verdict,
): void {
  for (const name of new Set([...expected.keys(), ...actual.keys()])) {
    const [wanted, found] = [expected.get(name) ?? 0, actual.get(name) ?? 0];
    const difference = Math.abs(found - wanted);
    if (difference < COUNT_TOLERANCE) continue;
    if (found < wanted) to.lost += Math.ceil(difference);
    else to.doubled += Math.ceil(difference);
    if (to.faults.length < FAULTS_SHOWN) to.faults.push(`${what} ${name}: ${found}, expected ${wanted}`);
  }
}

function add(counts: Map<string, number>, name: string, n = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + n);
}

async function verifyPeople({ visits, engine }: Evidence, verdict: Verdict): Promise<void> {
  const expected = new Map<string, number>();
  for (const { user, interactions } of visits) add(expected, user, interactions.length);
  const query = queryOf(engine);
  const actual = new Map<string, number>();
  for (const user of expected.keys()) {
    const state = await query.get(engine.engineTopology.users.name, user);
    const profile = state?.operators['profile'] as { readonly counts: readonly number[] } | undefined;
    add(actual, user, profile?.counts.reduce((sum, count) => sum + count, 0) ?? 0);
  }
  compare('interactions in the profile of', expected, actual, verdict);
}

async function verifyItems({ visits, engine }: Evidence, verdict: Verdict): Promise<void> {
  const times = new Map<string, number[]>();
  for (const { at, interactions } of visits) {
    for (const { item } of interactions) {
      const own = times.get(item);
      if (own === undefined) times.set(item, [at]);
      else own.push(at);
    }
  }
  const query = queryOf(engine);
  const expected = new Map<string, number>();
  const actual = new Map<string, number>();
  for (const [item, all] of times) {
    const state = await query.get(engine.engineTopology.items.name, item);
    const popularity = state?.operators['popularity'] as
      { readonly refTime: number; readonly counts: readonly number[] } | undefined;
    const refTime = popularity?.refTime ?? 0;
    for (const at of all) add(expected, item, 2 ** -(Math.max(0, refTime - at) / WEEK_MS));
    add(actual, item, popularity?.counts[WEEK_PLACE] ?? 0);
  }
  compare('popularity of', expected, actual, verdict);
}

async function verifySessions({ visits, warehouse }: Evidence, verdict: Verdict): Promise<void> {
  const expected = new Map<string, number>();
  for (const { interactions } of visits) {
    const items = [...new Set(interactions.map(({ item }) => item))].sort();
    add(expected, `${interactions.length} of ${items.join()}`);
  }
  const rows = await warehouse.query<{ name: string; n: string }>(
    `SELECT concat(toString(interactions), ' of ', arrayStringConcat(arraySort(lastItems), ',')) AS name, count() AS n
     FROM sessions_latest GROUP BY name`,
  );
  compare('sessions with', expected, new Map(rows.map(({ name, n }) => [name, Number(n)])), verdict);
  await compareSum('session_quality', 'sum(sessions)', visits.length, warehouse, verdict);
}

async function verifyRewards({ visits, warehouse }: Evidence, verdict: Verdict): Promise<void> {
  const expected = new Map<string, number>();
  const places = new Map<string, number>();
  for (const { request, shown, interactions } of visits) {
    shown.forEach((item, position) => {
      add(places, `${request}/${position}`);
      const types = interactions.filter((one) => one.item === item).map(({ type }) => type);
      // In hundredths: rewards are sums of tenths.
      add(expected, `${request}/${position}`, 100 * types.reduce((sum, type) => sum + REWARDS[type], 0));
    });
  }
  const actual = new Map<string, number>();
  const found = new Map<string, number>();
  const rows = warehouse.queryStream<{ requestId: string; position: number; reward: number }>(
    'SELECT requestId, position, reward FROM rewards FINAL',
  );
  for await (const { requestId, position, reward } of rows) {
    add(found, `${requestId}/${position}`);
    add(actual, `${requestId}/${position}`, 100 * Number(reward));
  }
  compare('rewards of', places, found, verdict);
  compare('hundredths of reward of', expected, actual, verdict);
  await compareSum('reward_by_policy', 'sum(places)', 3 * visits.length, warehouse, verdict);
}

async function verifyTables({ visits, warehouse }: Evidence, verdict: Verdict): Promise<void> {
  const expected = new Map<string, number>();
  for (const { interactions } of visits) for (const { type, item } of interactions) add(expected, `${type} ${item}`);
  const rows = await warehouse.query<{ name: string; n: string }>(
    `SELECT concat(toString(type), ' ', itemId) AS name, count() AS n FROM interactions FINAL GROUP BY name`,
  );
  compare('rows of interactions:', expected, new Map(rows.map(({ name, n }) => [name, Number(n)])), verdict);
  const count = (type: string): number =>
    visits.reduce((sum, { interactions }) => sum + interactions.filter((one) => one.type === type).length, 0);
  const all = count('view') + count('click');
  await compareSum('interactions FINAL', 'uniqExact(eventId)', all, warehouse, verdict);
  await compareSum("impressions FINAL WHERE stage = 'viewed'", 'count()', 3 * visits.length, warehouse, verdict);
  await compareSum('hourly_funnel', 'sum(itemViews)', count('view'), warehouse, verdict);
  await compareSum('hourly_funnel', 'sum(clicks)', count('click'), warehouse, verdict);
  await compareSum('hourly_funnel', 'sum(viewed)', 3 * visits.length, warehouse, verdict);
  await compareSum('ctr_by_place', 'sum(views)', 3 * visits.length, warehouse, verdict);
  await compareSum('ctr_by_place', 'sum(clicks)', count('click'), warehouse, verdict);
  // A block that was stored twice shows as a place in the log that has two rows.
  for (const table of ['interactions', 'sessions', 'rewards']) {
    const repeats = `count() - uniqExact(_topic, _partition, _offset, ${table === 'rewards' ? 'position' : "''"})`;
    await compareSum(table, repeats, 0, warehouse, verdict);
  }
}

async function compareSum(
  table: string,
  expression: string,
  expected: number,
  warehouse: Warehouse,
  verdict: Verdict,
): Promise<void> {
  const [row] = await warehouse.query<{ n: string }>(`SELECT ${expression} AS n FROM ${table}`);
  const name = `${expression} of ${table}`;
  compare('', new Map([[name, expected]]), new Map([[name, Number(row?.n ?? 0)]]), verdict);
}

async function verifySubscribers({ subscribers, engine }: Evidence, verdict: Verdict): Promise<void> {
  const query = queryOf(engine);
  for (const { user, version } of subscribers) {
    const state = await query.get(engine.engineTopology.users.name, user);
    if (state === undefined) continue;
    const offset = version === undefined ? undefined : tryParseVersion(version)?.offset;
    if (offset === state.version + 1) continue;
    verdict.staleSubscribers++;
    if (verdict.faults.length < FAULTS_SHOWN)
      verdict.faults.push(`the feed of ${user} is of version ${offset}, its state of ${state.version + 1}`);
  }
}

function queryOf(engine: Engine): StateQuery {
  return new StateQuery(engine.engineTopology.topology, engine.storage.log, engine.storage.store);
}
