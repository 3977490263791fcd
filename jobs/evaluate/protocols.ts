/**
 * Protocols: how data become a training set and questions about what was kept back.
 *
 * | name | kept back | history in the question |
 * |---|---|---|
 * | leave-last-out | each user's last interaction | everything before it |
 * | per-user-temporal | the last share of each user's | everything before them |
 * | global-temporal | everything from one moment on | everything before it |
 * | random | a share of each user's, drawn | the rest |
 * | given | what another file holds | the user's row |
 * | session-prefixes | the latest sessions, or those of another file | each beginning of the session, for the next item |
 * | prequential | everything from one moment on, in order of time | everything before that very interaction |
 * | cold-items | every interaction with a drawn share of items | the rest; only those items are ranked |
 *
 * Invariant: nothing kept back is in the training set, and indexes of users and items are those of the whole data.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Random } from '../../streams/random.js';
import type { TrainingSet, ValidationPairs } from '../../serving/models/training-set.js';
import { CaseList } from './case-list.js';
import type { Protocol } from './evaluation-schema.js';

export interface Split {
  readonly train: TrainingSet;
  readonly cases: CaseList;
}

/** Splits one data set. `given` and prefixes of a second file are in given-split.ts. */
export function splitByProtocol(all: TrainingSet, protocol: Protocol, random: Random): Split {
  switch (protocol.name) {
    case 'leave-last-out':
      return leaveLastOut(all, protocol);
    case 'per-user-temporal':
      return perUser(all, protocol, (u) => lastOf(all, u, protocol.testShare));
    case 'random': {
      const draws = random.stream('split');
      return perUser(all, protocol, (u) => drawnOf(all, u, protocol.testShare, draws));
    }
    case 'global-temporal':
      return globalTemporal(all, protocol);
    case 'prequential':
      return prequential(all, protocol);
    case 'session-prefixes':
      return sessionPrefixes(all, protocol);
    case 'cold-items':
      return coldItems(all, protocol, random.stream('split'));
    case 'given':
      throw new EngineError(
        'EVALUATION_INVALID',
        "Protocol 'given' needs 'data.test': the file with what was kept back.",
      );
  }
}

/** A training set of the positions marked 1; users and items keep their indexes. */
export function keep(all: TrainingSet, mask: Uint8Array, validation?: ValidationPairs): TrainingSet {
  let count = 0;
  for (let p = 0; p < mask.length; p++) count += mask[p]!;
  const rowStart = new Int32Array(all.rowStart.length);
  const set = {
    items: new Int32Array(count),
    times: new Float64Array(count),
    weights: new Float32Array(count),
    types: new Uint8Array(count),
  };
  let next = 0;
  for (let u = 0; u + 1 < rowStart.length; u++) {
    for (let p = all.rowStart[u]!; p < all.rowStart[u + 1]!; p++) {
      if (mask[p] === 0) continue;
      set.items[next] = all.items[p]!;
      set.times[next] = all.times[p]!;
      set.weights[next] = all.weights[p]!;
      set.types[next++] = all.types[p]!;
    }
    rowStart[u + 1] = next;
  }
  return { ...all, ...set, rowStart, validation };
}

/** Interactions people would want more of: what they disliked, blocked or rated too low is nothing to be found again. */
function isWanted(all: TrainingSet, position: number, protocol: Protocol): boolean {
  return all.weights[position]! >= (protocol.relevantFrom ?? Number.MIN_VALUE);
}

function itemsAt(all: TrainingSet, positions: readonly number[], protocol: Protocol): number[] {
  return positions.filter((p) => isWanted(all, p, protocol)).map((p) => all.items[p]!);
}

function leaveLastOut(all: TrainingSet, protocol: Protocol & { name: 'leave-last-out' }): Split {
  const mask = new Uint8Array(all.items.length).fill(1);
  const pairs: { users: number[]; items: number[] } = { users: [], items: [] };
  const hasValidation = protocol.validation === 'next-to-last';
  const least = hasValidation ? 3 : 2;
  const cases = new CaseList(all, caseOptions(all, protocol));
  for (let u = 0; u < all.userIds.length; u++) {
    const [from, end] = [all.rowStart[u]!, all.rowStart[u + 1]!];
    if (end - from < least) continue;
    mask[end - 1] = 0;
    if (hasValidation) {
      mask[end - 2] = 0;
      pairs.users.push(u);
      pairs.items.push(all.items[end - 2]!);
    }
    const relevant = itemsAt(all, [end - 1], protocol);
    cases.add({ user: u, from, to: end - 1, relevant, now: timeAt(all, end - 1) });
  }
  const validation = { users: Int32Array.from(pairs.users), items: Int32Array.from(pairs.items) };
  return { train: keep(all, mask, hasValidation ? validation : undefined), cases };
}

/** Positions of user u to keep back. */
type Choice = (user: number) => readonly number[];

/** Keeps back some positions of each user; the questions' histories are the rows of the training set. */
function perUser(all: TrainingSet, protocol: Protocol, choose: Choice): Split {
  const mask = new Uint8Array(all.items.length).fill(1);
  const chosen = all.userIds.map((_, u) => choose(u));
  for (const positions of chosen) for (const p of positions) mask[p] = 0;
  const train = keep(all, mask);
  const cases = new CaseList(train, caseOptions(train, protocol));
  chosen.forEach((positions, user) => {
    const [from, to] = [train.rowStart[user]!, train.rowStart[user + 1]!];
    if (positions.length === 0 || (from === to && !protocol.coldUsers)) return;
    const relevant = itemsAt(all, positions, protocol);
    const first = positions.reduce((least, p) => Math.min(least, p), Infinity);
    cases.add({ user: from === to ? -1 : user, from, to, relevant, now: timeAt(all, first) });
  });
  return { train, cases };
}

/** The last share of a row, rounded, at least one in training. */
function lastOf(all: TrainingSet, user: number, share: number): readonly number[] {
  const [from, end] = [all.rowStart[user]!, all.rowStart[user + 1]!];
  return positionsFrom(end - Math.min(end - from - 1, Math.round((end - from) * share)), end);
}

/** As `lastOf`, but drawn; ascending. */
function drawnOf(all: TrainingSet, user: number, share: number, random: Random): readonly number[] {
  const [from, end] = [all.rowStart[user]!, all.rowStart[user + 1]!];
  const count = Math.max(0, Math.min(end - from - 1, Math.round((end - from) * share)));
  return random
    .shuffle(positionsFrom(from, end))
    .slice(0, count)
    .sort((left, right) => left - right);
}

function positionsFrom(from: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - from) }, (_, i) => from + i);
}

function globalTemporal(all: TrainingSet, protocol: Protocol & { name: 'global-temporal' }): Split {
  const cut = cutTime(all, protocol.testShare);
  return perUser(all, protocol, (u) => {
    const [from, end] = [all.rowStart[u]!, all.rowStart[u + 1]!];
    return positionsFrom(from, end).filter((p) => all.times[p]! >= cut);
  });
}

/** The moment before which all but the last share of interactions happened. */
function cutTime(all: TrainingSet, share: number): number {
  if (!all.hasTimes) {
    throw new EngineError('EVALUATION_INVALID', 'A split at one moment needs data with times; the mapping has none.');
  }
  const sorted = all.times.slice().sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * (1 - share)))] ?? Infinity;
}

function prequential(all: TrainingSet, protocol: Protocol & { name: 'prequential' }): Split {
  const cut = cutTime(all, protocol.testShare);
  const mask = Uint8Array.from(all.times, (time) => Number(time < cut));
  const train = keep(all, mask);
  const cases = new CaseList(all, caseOptions(train, protocol));
  const tested: { user: number; position: number }[] = [];
  for (let user = 0; user < all.userIds.length; user++) {
    for (let p = all.rowStart[user]! + 1; p < all.rowStart[user + 1]!; p++) {
      if (mask[p] === 0 && isWanted(all, p, protocol)) tested.push({ user, position: p });
    }
  }
  tested.sort(
    (left, right) => all.times[left.position]! - all.times[right.position]! || left.position - right.position,
  );
  for (const { user, position } of tested) {
    const isKnown = train.rowStart[user + 1]! > train.rowStart[user]!;
    const from = all.rowStart[user]!;
    const relevant = [all.items[position]!];
    cases.add({ user: isKnown ? user : -1, from, to: position, relevant, now: timeAt(all, position) });
  }
  return { train, cases };
}

function sessionPrefixes(all: TrainingSet, protocol: Protocol & { name: 'session-prefixes' }): Split {
  const order = all.userIds.map((_, u) => u).filter((u) => all.rowStart[u + 1]! - all.rowStart[u]! >= 2);
  const startOf = (u: number): number => all.times[all.rowStart[u]!]!;
  order.sort((left, right) => startOf(left) - startOf(right) || left - right);
  const tested = order.slice(Math.round(order.length * (1 - protocol.testShare)));
  const mask = new Uint8Array(all.items.length).fill(1);
  for (const u of tested) mask.fill(0, all.rowStart[u], all.rowStart[u + 1]);
  const train = keep(all, mask);
  const cases = new CaseList(all, caseOptions(train, protocol));
  for (const u of tested) addPrefixes(all, u, cases);
  return { train, cases };
}

/** Each beginning of row u asks for the item that follows it. */
export function addPrefixes(sessions: TrainingSet, u: number, cases: CaseList): void {
  const from = sessions.rowStart[u]!;
  for (let p = from + 1; p < sessions.rowStart[u + 1]!; p++) {
    cases.add({ user: -1, from, to: p, relevant: [sessions.items[p]!], now: timeAt(sessions, p) });
  }
}

function coldItems(all: TrainingSet, protocol: Protocol & { name: 'cold-items' }, random: Random): Split {
  const counts = new Int32Array(all.itemIds.length);
  for (const item of all.items) counts[item]!++;
  const met = random.shuffle(positionsFrom(0, counts.length).filter((item) => counts[item]! > 0));
  const cold = Int32Array.from(met.slice(0, Math.round(met.length * protocol.testShare))).sort();
  const isCold = new Uint8Array(all.itemIds.length);
  for (const item of cold) isCold[item] = 1;
  const split = perUser(all, protocol, (u) =>
    positionsFrom(all.rowStart[u]!, all.rowStart[u + 1]!).filter((p) => isCold[all.items[p]!] === 1),
  );
  return { train: split.train, cases: split.cases.among(cold) };
}

export function timeAt(set: TrainingSet, position: number): number {
  return set.hasTimes ? set.times[position]! : NaN;
}

/** What the protocol says of all its cases. */
export function caseOptions(train: TrainingSet, protocol: Protocol): CaseList['options'] {
  const { excludesHistory, coldItems: withColdItems } = protocol;
  if (withColdItems) return { excludesHistory };
  const trained = new Uint8Array(train.itemIds.length);
  for (const item of train.items) trained[item] = 1;
  return { excludesHistory, isTrained: (item) => trained[item] === 1 };
}
