/** One visit: decided by seed and slates, clicks by taste and place, everything in order of time. */
import { describe, expect, it } from 'vitest';
import { examinationAt, playVisit, type Act, type SlateOutcome } from '../../../jobs/simulate/behaviour.js';
import { Histories } from '../../../jobs/simulate/histories.js';
import { createWorld, type World } from '../../../jobs/simulate/world.js';
import { seededRandom } from '../../../streams/random.js';

const world = createWorld({ seed: 'behaviour', items: 400, users: 300 });

type Choose = (world: World, outcome: { person: number; at: number }) => number[];
const oracle: Choose = (of, { person, at }) => of.oracleSlate(of.tasteAt(person, at), 10);
const random: Choose = (of, { person, at }) => of.randomSlate(10, seededRandom(`${person}-${at}`));

interface Played {
  readonly acts: Act[];
  readonly outcomes: SlateOutcome[];
}

function play(choose: Choose, people: number, seed = 1): Played {
  const histories = new Histories(world);
  const played: Played = { acts: [], outcomes: [] };
  for (let person = 0; person < people; person++) {
    const visit = {
      person,
      nth: histories.arrive(person),
      startedAt: world.startMs + person * 60_000,
      sessionId: `s${person}`,
      random: seededRandom(seed).stream(`v${person}`),
    };
    const options = { organicShare: 0.2, onSlate: (outcome: SlateOutcome) => played.outcomes.push(outcome) };
    const script = playVisit(world, histories, { visit, options });
    let step = script.next();
    while (step.done !== true) {
      if (step.value.kind === 'ask') {
        const items = choose(world, { person, at: step.value.at });
        step = script.next({ requestId: 'r', items, itemIds: items.map((item) => world.catalogue.ids[item] ?? 'x') });
      } else {
        played.acts.push(step.value);
        step = script.next();
      }
    }
  }
  return played;
}

const places = (outcomes: SlateOutcome[]): number => outcomes.length * 10;
const counted = (outcomes: SlateOutcome[]): number =>
  outcomes.reduce((sum, outcome) => sum + outcome.clicks, 0) / places(outcomes);
const expected = (outcomes: SlateOutcome[]): number =>
  outcomes.flatMap((outcome) => outcome.probabilities).reduce((sum, p) => sum + p, 0) / places(outcomes);

describe('a visit', () => {
  it('is decided by seed and slates', () => {
    expect(play(oracle, 40).acts).toEqual(play(oracle, 40).acts);
    expect(play(oracle, 40, 2).acts).not.toEqual(play(oracle, 40).acts);
  });

  it('clicks as often as the hidden probabilities say, and far more on what suits', () => {
    const best = play(oracle, 300).outcomes;
    const blind = play(random, 300).outcomes;
    expect(counted(best)).toBeGreaterThan(4 * counted(blind));
    expect(counted(best)).toBeGreaterThan(expected(best) * 0.85);
    expect(counted(best)).toBeLessThan(expected(best) * 1.15);
  });

  it('looks at the first place for certain and at later ones less and less', () => {
    expect(examinationAt(0)).toBe(1);
    for (let place = 1; place < 20; place++) expect(examinationAt(place)).toBeLessThan(examinationAt(place - 1));
  });

  it('goes forward in time, and follow-ups answer the slate that the click answered', () => {
    const histories = new Set<string>();
    const { acts } = play(oracle, 200);
    for (const act of acts) if (act.kind === 'interaction') histories.add(act.type);
    expect([...histories]).toEqual(expect.arrayContaining(['view', 'click', 'like', 'addToCart', 'purchase']));
    const purchase = acts.find(
      (act) => act.kind === 'interaction' && act.type === 'purchase' && act.shown !== undefined,
    );
    expect(purchase).toMatchObject({ shown: { slate: { requestId: 'r' } }, value: expect.any(Number) as number });
    const one = play(oracle, 1).acts;
    expect(one.map((act) => act.at)).toEqual(one.map((act) => act.at).sort((a, b) => a - b));
  });

  it('never clicks on what is not of this world, and does without a slate when none comes', () => {
    const foreign = play(() => new Array<number>(10).fill(-1), 60);
    expect(counted(foreign.outcomes)).toBe(0);
    const alone = play(() => [], 60);
    expect(alone.outcomes).toEqual([]);
    expect(alone.acts.filter((act) => act.kind === 'interaction').length).toBeGreaterThan(60);
  });

  it('loses interest in what was met lately', () => {
    const histories = new Histories(world);
    expect(histories.hasMet(3, 17)).toBe(false);
    histories.meet(3, 17);
    expect(histories.hasMet(3, 17)).toBe(true);
    for (let item = 100; item < 140; item++) histories.meet(3, item);
    expect(histories.hasMet(3, 17)).toBe(false);
    expect(histories.hasMet(4, 139)).toBe(false);
  });
});
