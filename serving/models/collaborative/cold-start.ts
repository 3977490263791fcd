/**
 * What to show people with fewer than a handful of interactions: what people like them met, what is popular, what is
 * gaining, in turns and without repetition.
 *
 * People like them share a trait (gender, occupation, decade of age …) as the question's context or the training set
 * knows it; a group's taste is its share of people who met an item, drawn towards everybody's by ten people's worth.
 * Gaining is popularity with a half-life of seven days before the latest interaction, where the data have times.
 *
 * Invariant: lists hold an item once, none that is excluded; confidence is always .3.
 */
import { EngineError } from '../../../schemas/errors.js';
import { topOf } from '../fitting.js';
import { bytesOf, jsonBytes, readFloats, readInts, readJson } from '../model-files.js';
import type { ModelArtefact, ModelQuery, ModelReason, RankedItems } from '../model.js';
import type { TrainingSet } from '../training-set.js';

/** Confidence in an item nothing personal speaks for. */
export const COLD_START_CONFIDENCE = 0.3;
const HALF_LIFE_MS = 7 * 86_400_000;
/** Smaller groups say more about chance than about taste. */
const GROUP_USERS_MIN = 10;
/** People's worth of everybody's taste in a group's. */
const PRIOR_USERS = 10;
const GROUP_ITEMS_MAX = 200;
/** Numbers with more different values than this are grouped by tens. */
const DISTINCT_NUMBERS_MAX = 12;

interface Group {
  readonly trait: string;
  readonly value: string;
  readonly items: readonly number[];
  readonly shares: readonly number[];
}

interface Parts {
  readonly popular: Float32Array;
  /** Empty without times. */
  readonly gaining: Float32Array;
  readonly groups: readonly Group[];
  /** Traits whose values are grouped by tens. */
  readonly byTens: readonly string[];
  /** [users × traits]: index of the user's group or −1. */
  readonly userGroups: Int32Array;
}

export class ColdStart {
  private constructor(private readonly parts: Parts) {}

  static learn(set: TrainingSet): ColdStart {
    const popular = countsOf(set, () => 1);
    const latest = set.hasTimes ? set.times.reduce((left, right) => Math.max(left, right), -Infinity) : 0;
    const gaining = set.hasTimes
      ? countsOf(set, (p) => 2 ** ((set.times[p]! - latest) / HALF_LIFE_MS))
      : new Float32Array(0);
    return new ColdStart({ popular, gaining, ...groupsOf(set) });
  }

  static load(artefact: ModelArtefact): ColdStart {
    const popular = readFloats(artefact, 'popular.f32', artefact.itemCount);
    const raw = readJson(artefact, 'cold-start.json') as { isTimed?: boolean; traits?: number } & Partial<Parts>;
    if (!Array.isArray(raw.groups) || !Array.isArray(raw.byTens) || typeof raw.traits !== 'number') {
      throw new EngineError('MODEL_INVALID', `File 'cold-start.json' of a ${artefact.algorithm} model has no groups.`);
    }
    const gaining =
      raw.isTimed === true ? readFloats(artefact, 'gaining.f32', artefact.itemCount) : new Float32Array(0);
    const places = raw.traits * artefact.userCount;
    const userGroups = places > 0 ? readInts(artefact, 'user-groups.i32', places) : new Int32Array(0);
    return new ColdStart({
      popular,
      gaining,
      userGroups,
      groups: raw.groups as Group[],
      byTens: raw.byTens as string[],
    });
  }

  files(userCount: number): Record<string, Uint8Array> {
    const { popular, gaining, groups, byTens, userGroups } = this.parts;
    const isTimed = gaining.length > 0;
    const traits = userCount === 0 ? 0 : userGroups.length / userCount;
    return {
      'popular.f32': bytesOf(popular),
      'cold-start.json': jsonBytes({ groups, byTens, isTimed, traits }),
      ...(isTimed ? { 'gaining.f32': bytesOf(gaining) } : {}),
      ...(traits > 0 ? { 'user-groups.i32': bytesOf(userGroups) } : {}),
    };
  }

  /** The same for all: relative counts, 0 for items that were folded in since. */
  scoreOf(item: number): number {
    return this.parts.popular[item] ?? 0;
  }

  rank(query: ModelQuery, k: number, userCount: number): RankedItems {
    const lists = this.listsFor(query, k, userCount);
    const places = lists.map(() => 0);
    const seen = new Set<number>();
    const items: number[] = [];
    for (let isLeft = true; isLeft && items.length < k;) {
      isLeft = false;
      lists.forEach(({ list }, l) => {
        while (places[l]! < list.length && seen.has(list[places[l]!]!)) places[l]!++;
        if (places[l]! >= list.length || items.length >= k) return;
        const item = list[places[l]!++]!;
        seen.add(item);
        items.push(item);
        isLeft = true;
      });
    }
    return {
      items: Int32Array.from(items),
      scores: Float32Array.from(items, (_, i) => 1 / (i + 1)),
      basis: 'cold_start',
    };
  }

  explain(query: ModelQuery, item: number, userCount: number): ModelReason[] {
    const lists = this.listsFor({ ...query, excluded: undefined }, GROUP_ITEMS_MAX, userCount);
    const detail = lists.find(({ list }) => list.includes(item))?.name;
    return [{ kind: 'cold_start', strength: COLD_START_CONFIDENCE, ...(detail === undefined ? {} : { detail }) }];
  }

  private listsFor(query: ModelQuery, k: number, userCount: number): { name: string; list: readonly number[] }[] {
    const { popular, gaining } = this.parts;
    const excluded = new Set(query.excluded);
    const top = (scores: Float32Array): number[] =>
      [...topOf(scores, k, query.excluded).items].filter((item) => scores[item]! > 0);
    const groups = this.groupsFor(query, userCount);
    const shares = new Map<number, number>();
    for (const group of groups) {
      group.items.forEach((item, i) => {
        if (!excluded.has(item)) shares.set(item, (shares.get(item) ?? 0) + group.shares[i]!);
      });
    }
    const alike = [...shares.keys()].sort((left, right) => shares.get(right)! - shares.get(left)! || left - right);
    const name = groups.map(({ trait, value }) => `${trait}=${value}`).join(', ');
    return [
      { name, list: alike },
      { name: 'popular', list: top(popular) },
      { name: 'trending', list: gaining.length > 0 ? top(gaining) : [] },
    ].filter(({ list }) => list.length > 0);
  }

  private groupsFor({ user, context }: ModelQuery, userCount: number): Group[] {
    const { groups, userGroups, byTens } = this.parts;
    if (context !== undefined) {
      const named = groups.filter(({ trait, value }) => {
        const given = context[trait];
        return given !== undefined && (byTens.includes(trait) ? tensOf(given) : given) === value;
      });
      if (named.length > 0) return named;
    }
    if (user < 0 || userCount === 0) return [];
    const traits = userGroups.length / userCount;
    return [...userGroups.subarray(user * traits, (user + 1) * traits)].flatMap((g) => (g < 0 ? [] : [groups[g]!]));
  }
}

/** Sums by item, divided by the greatest. */
function countsOf(set: TrainingSet, amount: (position: number) => number): Float32Array {
  const sums = new Float64Array(set.itemIds.length);
  for (let p = 0; p < set.items.length; p++) sums[set.items[p]!]! += amount(p);
  const greatest = sums.reduce((left, right) => Math.max(left, right), 0);
  return Float32Array.from(sums, (sum) => sum / (greatest || 1));
}

function tensOf(value: string): string {
  const number = Number(value);
  return value === '' || !Number.isFinite(number) ? value : String(Math.floor(number / 10) * 10);
}

function groupsOf(set: TrainingSet): Pick<Parts, 'groups' | 'byTens' | 'userGroups'> {
  const traits = Object.entries(set.userTraits ?? {});
  const groups: Group[] = [];
  const userGroups = new Int32Array(set.userIds.length * traits.length).fill(-1);
  const everybody = peopleByItem(set, [...set.userIds.keys()]);
  const byTens: string[] = [];
  traits.forEach(([trait, raw], t) => {
    const distinct = new Set(raw.filter((value) => value !== ''));
    const isNumber =
      distinct.size > DISTINCT_NUMBERS_MAX && [...distinct].every((value) => Number.isFinite(Number(value)));
    if (isNumber) byTens.push(trait);
    const values = isNumber ? raw.map(tensOf) : raw;
    const members = new Map<string, number[]>();
    values.forEach((value, user) => void (members.get(value)?.push(user) ?? members.set(value, [user])));
    for (const value of [...members.keys()].sort()) {
      const users = members.get(value)!;
      if (value === '' || users.length < GROUP_USERS_MIN) continue;
      for (const user of users) userGroups[user * traits.length + t] = groups.length;
      groups.push({
        trait,
        value,
        ...tasteOf(peopleByItem(set, users), users.length, { everybody, all: values.length }),
      });
    }
  });
  return { groups, byTens, userGroups };
}

/** How many of these users met each item. */
function peopleByItem(set: TrainingSet, users: readonly number[]): Float64Array {
  const people = new Float64Array(set.itemIds.length);
  for (const user of users) {
    for (const item of new Set(set.items.subarray(set.rowStart[user], set.rowStart[user + 1]))) people[item]!++;
  }
  return people;
}

function tasteOf(
  people: Float64Array,
  users: number,
  { everybody, all }: { everybody: Float64Array; all: number },
): Pick<Group, 'items' | 'shares'> {
  const shares = people.map((count, item) => (count + (PRIOR_USERS * everybody[item]!) / all) / (users + PRIOR_USERS));
  const { items } = topOf(shares, GROUP_ITEMS_MAX, undefined);
  return { items: [...items], shares: [...items].map((item) => shares[item]!) };
}
