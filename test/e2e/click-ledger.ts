/**
 * What must be in the state after clicks were read, computed from the file by other means: clicks a user, clicks a
 * session, and the decayed counts of each item. Every click lost or counted twice shows in all three.
 */
import { POPULARITY_HALF_LIVES_MS } from '../../operators/item/popularity.js';
import { countBy, readCsv } from './data-sets.js';
import { inspect, interactionsOf } from './inspect.js';
import type { Inspection } from './inspect.js';

export interface Click {
  readonly user: string;
  readonly session: string;
  readonly item: string;
  readonly ts: number;
}

export function readGloboClicks(file: string, limit: number): Click[] {
  return readCsv(file, limit).map((row) => ({
    user: row.get('user_id')!,
    session: row.get('session_id')!,
    item: row.get('click_article_id')!,
    ts: Number(row.get('click_timestamp')),
  }));
}

/** What is wrong in a data directory that has read exactly these clicks; empty when nothing is. */
export async function findMiscounts(directory: string, clicks: readonly Click[]): Promise<string[]> {
  return inspect(directory, async (inspection) => [
    ...(await miscountedUsers(inspection, clicks)),
    ...(await miscountedSessions(inspection, clicks)),
    ...(await miscountedItems(inspection, clicks)),
  ]);
}

async function miscountedUsers(inspection: Inspection, clicks: readonly Click[]): Promise<string[]> {
  const users = await inspection.users();
  const wrong = differences(
    'user',
    countBy(clicks, ({ user }) => user),
    countBy(users, ({ key }) => key, interactionsOf),
  );
  for (const { key, dedupe } of users) {
    // Re-sent rows are recognised by their place in the file, before anybody looks at event ids.
    if ((dedupe?.duplicates ?? 0) > 0) wrong.push(`user ${key} had ${dedupe!.duplicates} repeats past the runtime`);
  }
  return wrong;
}

async function miscountedSessions(inspection: Inspection, clicks: readonly Click[]): Promise<string[]> {
  const sessions = await inspection.sessions();
  const found = new Map([...sessions].map(([id, { interactions }]) => [id, interactions]));
  return differences(
    'session',
    countBy(clicks, ({ user, session }) => `${user} ${session}`),
    found,
  );
}

/** Floating-point sums in another order differ in their last digits; one click more or less differs by far more. */
const TOLERANCE = 1e-6;

async function miscountedItems(inspection: Inspection, clicks: readonly Click[]): Promise<string[]> {
  const popularity = await inspection.popularity();
  const byItem = new Map<string, Click[]>();
  for (const click of clicks) byItem.set(click.item, [...(byItem.get(click.item) ?? []), click]);
  const once = (items: Iterable<string>): Map<string, number> => countBy(items, (item) => item);
  const wrong = differences('item', once(byItem.keys()), once(popularity.keys()));
  for (const [item, { refTime, counts }] of popularity) {
    POPULARITY_HALF_LIVES_MS.forEach((halfLifeMs, i) => {
      const expected = (byItem.get(item) ?? []).reduce((sum, { ts }) => sum + 2 ** (-(refTime - ts) / halfLifeMs), 0);
      const count = counts[i]!;
      if (Math.abs(count - expected) > TOLERANCE * Math.max(1, expected)) {
        wrong.push(`item ${item} has ${count} at half-life ${halfLifeMs}, expected ${expected}`);
      }
    });
  }
  return wrong;
}

function differences(
  what: string,
  expected: ReadonlyMap<string, number>,
  found: ReadonlyMap<string, number>,
): string[] {
  const wrong: string[] = [];
  for (const key of new Set([...expected.keys(), ...found.keys()])) {
    if (expected.get(key) === found.get(key)) continue;
    wrong.push(`${what} ${key}: ${found.get(key) ?? 0} counted, ${expected.get(key) ?? 0} in the file`);
  }
  return wrong;
}
