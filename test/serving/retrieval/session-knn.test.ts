import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { RetrievalRequest } from '../../../serving/retrieval/request.js';
import { SessionKnnSource } from '../../../serving/retrieval/session-knn.js';
import { TopN } from '../../../serving/tables/top-n.js';
import { hash32 } from '../../../schemas/ids.js';
import { HOUR, T0 } from '../../operators/item/item-records.js';
import { person, World } from '../pipeline/world.js';

interface Past {
  readonly ref: string;
  readonly items: readonly string[];
  readonly at: number;
}

const CONFIG = {
  contextItems: 3,
  contextDecay: 0.6,
  sessionsPerItem: 8,
  neighbours: 6,
  halfWeightMs: 6 * HOUR,
  stepDecay: 0.75,
  backwardShare: 0.4,
};

/** VMIS-kNN as it is written down, with maps and sorting. */
function naiveScores(sessions: readonly Past[], context: readonly string[], now: number): Map<string, number> {
  const similarity = new Map<Past, { value: number; match: string }>();
  context.slice(0, CONFIG.contextItems).forEach((item, d) => {
    const metAt = (session: Past): number => session.at + session.items.indexOf(item) * 1000;
    const latest = sessions
      .filter(({ items }) => items.includes(item))
      .sort((a, b) => metAt(b) - metAt(a))
      .slice(0, CONFIG.sessionsPerItem);
    for (const session of latest) {
      const known = similarity.get(session);
      if (known === undefined) similarity.set(session, { value: CONFIG.contextDecay ** d, match: item });
      else known.value += CONFIG.contextDecay ** d;
    }
  });
  const lastTime = (session: Past): number => session.at + (session.items.length - 1) * 1000;
  const nearest = [...similarity]
    .sort((a, b) => b[1].value - a[1].value || lastTime(b[0]) - lastTime(a[0]))
    .slice(0, CONFIG.neighbours);
  const scores = new Map<string, number>();
  let total = 0;
  for (const [session, { value, match }] of nearest) {
    const weight = value / (1 + (now - lastTime(session)) / CONFIG.halfWeightMs);
    total += weight;
    const place = session.items.indexOf(match);
    session.items.forEach((item, i) => {
      if (i === place) return;
      const share = CONFIG.stepDecay ** (Math.abs(i - place) - 1) * (i > place ? 1 : CONFIG.backwardShare);
      scores.set(item, (scores.get(item) ?? 0) + weight * share);
    });
  }
  for (const item of context) scores.delete(item);
  for (const [item, score] of scores) scores.set(item, score / total);
  return scores;
}

describe('session-knn', () => {
  it('scores as the algorithm does when it is written with maps and sorting', () => {
    const items = fc.uniqueArray(
      fc.integer({ min: 0, max: 9 }).map((i) => `i${i}`),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(fc.array(items, { minLength: 1, maxLength: 30 }), items, (past, current) => {
        const world = new World();
        const sessions = past.map((list, i) => ({ ref: `s${i}`, items: list, at: T0 + i * 60_000 }));
        for (const { ref, items: list, at } of sessions) world.session(ref, list, at);
        const now = T0 + 3 * HOUR;
        const known = current.filter((id) => world.tables.items.indexOf(id) >= 0);
        const request = new RetrievalRequest();
        request.resolve(person({ sessionItems: current }), world.tables, { now });
        const list = new TopN(100, world.tables.items);
        new SessionKnnSource(CONFIG).retrieve(request, world.tables, list);
        list.sort();
        const naive = naiveScores(sessions, known.toReversed(), now);
        const got = new Map(
          Array.from({ length: list.length }, (_, i) => [world.tables.items.idOf(list.items[i]!), list.scores[i]!]),
        );
        expect([...got.keys()].sort()).toEqual([...naive.keys()].sort());
        for (const [item, score] of naive) expect(got.get(item)).toBeCloseTo(score, 9);
      }),
      { numRuns: 100 },
    );
  });

  it('does not take a session for its own neighbour', () => {
    const world = new World().session('mine', ['a', 'b'], T0);
    const request = new RetrievalRequest();
    request.resolve(person({ sessionItems: ['a'], sessionRef: hash32('mine') }), world.tables, { now: T0 });
    const list = new TopN(10, world.tables.items);
    new SessionKnnSource().retrieve(request, world.tables, list);
    expect(list.length).toBe(0);
  });

  it('offers nothing to somebody it knows nothing of', () => {
    const world = new World().session('s', ['a', 'b'], T0);
    const request = new RetrievalRequest();
    request.resolve(person({ sessionItems: ['unknown'] }), world.tables, { now: T0 });
    const list = new TopN(10, world.tables.items);
    new SessionKnnSource().retrieve(request, world.tables, list);
    expect(list.length).toBe(0);
  });
});
