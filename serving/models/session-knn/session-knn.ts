/**
 * Session neighbours: what came next in the sessions most like this one, with the decays of VMIS-kNN and STAN, and how
 * often people come back to what the session already holds.
 *
 * VMIS-kNN: Kersbergen, Sprangers, Schelter (Serenade, SIGMOD 2022); STAN: Garg et al. (SIGIR 2019). For a session with the
 * item at distance d from its end weighing contextDecay^d:
 * 1. of each item's `sessionsPerItem` latest sessions, n is as similar as Σ_{shared items i} contextDecay^d · idf(i)^rarity,
 *    over |n|^lengthNorm, halved for each `recencyHalf` of all sessions that are later than n;
 * 2. the `neighbours` most similar stay, of equals the latest;
 * 3. each gives its similarity to its items, times stepDecay^(steps − 1) by their distance from the shared item nearest to
 *    the end of the session asked about, and times `backwardShare` for what stood before it; votes are scaled to sum to 1;
 * 4. the j-th latest distinct item of the session comes next with the share r_j that it came next with in the training
 *    sessions; the votes get the rest: score(i) = (1 − Σ_j r_j) · votes(i) + r_j(i). repeat-shares.ts has r.
 * This is the same idea the stream keeps current in serving/retrieval/session-knn.ts, over a training set at rest.
 *
 * Worked example, without rarity and recency, where nobody comes back: asked [b, a], contextDecay .6; sessions x: a→c→d and
 * y: b→c. Similarities 1/√3 = .577 and .6/√2 = .424; with stepDecay .75, votes for c are .577 + .424 and for d .75 · .577,
 * so that c scores 1.001 / 1.434 = .698 and d .302.
 */
import { EngineError } from '../../../schemas/errors.js';
import { defineSection, setting } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';
import { TopN } from '../../tables/top-n.js';
import { requireMemory, scoreRows, spaceIdOf, throwIfCancelled, topOf } from '../fitting.js';
import type { Algorithm, FitContext, Model, ModelFiles, ModelQuery, ModelReason, RankedItems } from '../model.js';
import { bytesOf, jsonBytes, readFloats, readInts, readJson } from '../model-files.js';
import { requireInteractions } from '../training-set.js';
import type { TrainingSet } from '../training-set.js';
import { addRepeats, repeatShares } from './repeat-shares.js';

const sessionKnnSettings = defineSection(
  'sessionKnn',
  {
    contextItems: setting.integer({
      default: 10,
      min: 1,
      max: 100,
      unit: 'items',
      description: 'Latest items of a session that are looked at.',
    }),
    contextDecay: setting.number({
      default: 0.5,
      min: 0.01,
      max: 1,
      description: 'What each step back in the session asked about multiplies.',
    }),
    sessionsPerItem: setting.integer({
      default: 1_000,
      min: 1,
      max: 100_000,
      unit: 'sessions',
      description: 'Latest sessions of an item that may be neighbours.',
    }),
    neighbours: setting.integer({
      default: 200,
      min: 1,
      max: 10_000,
      unit: 'sessions',
      description: 'Most similar sessions that have a say.',
    }),
    stepDecay: setting.number({
      default: 0.85,
      min: 0.01,
      max: 1,
      description: 'What each step away from the shared item multiplies.',
    }),
    backwardShare: setting.number({
      default: 0.9,
      min: 0,
      max: 1,
      description: 'What items before the shared one count, of those after it.',
    }),
    lengthNorm: setting.number({
      default: 0.5,
      min: 0,
      max: 1,
      description: 'Exponent of the length of a session that its similarity is divided by.',
    }),
    rarity: setting.number({
      default: 1,
      min: 0,
      max: 1,
      description: 'Exponent of log(sessions / sessions with the shared item): rare items say more.',
    }),
    recencyHalf: setting.number({
      default: 0.6,
      min: 0,
      max: 1,
      description: 'Share of the sessions that a session may be older than before it counts half; 0 counts all alike.',
    }),
    repeatItems: setting.integer({
      default: 20,
      min: 0,
      max: 100,
      unit: 'items',
      description: 'Latest distinct items of a session that may come again, as often as in training; 0: none.',
    }),
  },
  { description: 'Neighbours of sessions.' },
);

type SessionKnnSettings = SectionValues<typeof sessionKnnSettings>;

const NAME = 'session_knn';
const SESSION_FILE = 'session-start.i32';
const ITEM_FILE = 'session-items.i32';
const POSTING_START_FILE = 'posting-start.i32';
const POSTING_FILE = 'postings.i32';
const REPEAT_FILE = 'repeat-shares.f32';
const SETTINGS_FILE = 'settings.json';

export const sessionKnn: Algorithm<typeof sessionKnnSettings> = {
  name: NAME,
  settings: sessionKnnSettings,
  fit: async (set, settings, context) => {
    requireInteractions(set);
    throwIfCancelled(context);
    const index = { ...indexSessions(set, settings, context), repeats: repeatShares(set, settings.repeatItems) };
    context.progress({ epoch: 1, epochs: 1, fraction: 1 });
    return new SessionKnnModel(index, settings, set.userIds.length);
  },
  load: async (artefact) => {
    const parsed = sessionKnnSettings.schema.safeParse(readJson(artefact, SETTINGS_FILE));
    if (!parsed.success)
      throw new EngineError('MODEL_INVALID', `The saved ${NAME} model has settings that do not fit.`);
    const sessionStart = readInts(artefact, SESSION_FILE);
    const postingStart = readInts(artefact, POSTING_START_FILE, artefact.itemCount + 1);
    const index = {
      sessionStart,
      sessionItems: readInts(artefact, ITEM_FILE, sessionStart.at(-1) ?? 0),
      postingStart,
      postings: readInts(artefact, POSTING_FILE, postingStart[artefact.itemCount]),
      repeats: readFloats(artefact, REPEAT_FILE, parsed.data.repeatItems),
    };
    const sessions = sessionStart.length - 1;
    const isBroken =
      index.sessionItems.some((item) => item < 0 || item >= artefact.itemCount) ||
      index.postings.some((session) => session < 0 || session >= sessions);
    if (isBroken) throw new EngineError('MODEL_INVALID', `The saved ${NAME} model names items it does not have.`);
    return new SessionKnnModel(index, parsed.data, artefact.userCount);
  },
};

/** Sessions from the oldest to the latest by their last event; postings of an item: its latest sessions, latest first. */
interface SessionIndex {
  readonly sessionStart: Int32Array;
  readonly sessionItems: Int32Array;
  readonly postingStart: Int32Array;
  readonly postings: Int32Array;
}

/** `repeats`: by j, how often the j-th latest distinct item of a session was the next one. */
type SessionKnowledge = SessionIndex & { readonly repeats: Float32Array };

function indexSessions(set: TrainingSet, settings: SessionKnnSettings, context: FitContext): SessionIndex {
  requireMemory(context, set.items.length * 16 + set.userIds.length * 12, 'The index of sessions');
  const lastTime = (u: number): number => set.times[set.rowStart[u + 1]! - 1]!;
  const order = set.userIds.map((_, u) => u).filter((u) => set.rowStart[u + 1]! > set.rowStart[u]!);
  order.sort((left, right) => lastTime(left) - lastTime(right) || left - right);
  const sessionStart = new Int32Array(order.length + 1);
  const sessionItems = new Int32Array(set.items.length);
  order.forEach((u, session) => {
    const row = set.items.subarray(set.rowStart[u], set.rowStart[u + 1]);
    sessionItems.set(row, sessionStart[session]);
    sessionStart[session + 1] = sessionStart[session]! + row.length;
  });
  const lists: number[][] = set.itemIds.map(() => []);
  for (let session = order.length - 1; session >= 0; session--) {
    for (let p = sessionStart[session]!; p < sessionStart[session + 1]!; p++) {
      const list = lists[sessionItems[p]!]!;
      if (list.length < settings.sessionsPerItem && list.at(-1) !== session) list.push(session);
    }
  }
  const postingStart = new Int32Array(lists.length + 1);
  lists.forEach((list, item) => (postingStart[item + 1] = postingStart[item]! + list.length));
  const postings = new Int32Array(postingStart[lists.length]!);
  lists.forEach((list, item) => postings.set(list, postingStart[item]));
  return { sessionStart, sessionItems, postingStart, postings };
}

/** Of equally similar sessions the latest: sessions are numbered by time. */
const LATEST_FIRST = { precedes: (left: number, right: number): boolean => left > right };

class SessionKnnModel implements Model {
  readonly algorithm = NAME;
  readonly spaceId: string;
  readonly itemCount: number;
  private readonly row: Float32Array;
  private readonly similarities: Float64Array;
  /** Item of the session asked about that met the session first: the one nearest to its end. */
  private readonly shared: Int32Array;
  private readonly nearest: TopN;

  constructor(
    private readonly index: SessionKnowledge,
    private readonly settings: SessionKnnSettings,
    readonly userCount: number,
  ) {
    this.itemCount = index.postingStart.length - 1;
    this.spaceId = spaceIdOf(
      NAME,
      index.sessionStart,
      index.sessionItems,
      index.postings,
      index.repeats,
      jsonBytes(settings),
    );
    this.row = new Float32Array(this.itemCount);
    this.similarities = new Float64Array(index.sessionStart.length - 1);
    this.shared = new Int32Array(index.sessionStart.length - 1);
    this.nearest = new TopN(settings.neighbours, LATEST_FIRST);
  }

  save(): ModelFiles {
    return {
      [SETTINGS_FILE]: jsonBytes(this.settings),
      [SESSION_FILE]: bytesOf(this.index.sessionStart),
      [ITEM_FILE]: bytesOf(this.index.sessionItems),
      [POSTING_START_FILE]: bytesOf(this.index.postingStart),
      [POSTING_FILE]: bytesOf(this.index.postings),
      [REPEAT_FILE]: bytesOf(this.index.repeats),
    };
  }

  retrieve(query: ModelQuery, k: number): RankedItems {
    this.scoreInto(query, this.row);
    return topOf(this.row, k, query.excluded);
  }

  score(query: ModelQuery, items: Int32Array): Float32Array {
    this.scoreInto(query, this.row);
    return Float32Array.from(items, (item) => this.row[item]!);
  }

  async scoreAll(queries: readonly ModelQuery[], into: Float32Array): Promise<void> {
    scoreRows(queries, this.itemCount, into, (query, row) => this.scoreInto(query, row));
  }

  private scoreInto(query: ModelQuery, row: Float32Array): void {
    row.fill(0);
    const { nearest } = this;
    this.findNearest(query);
    for (let i = 0; i < nearest.length; i++) this.addItemsOf(nearest.items[i]!, nearest.scores[i]!, row);
    let votes = 0;
    for (const vote of row) votes += vote;
    if (votes > 0) for (let item = 0; item < row.length; item++) row[item]! /= votes;
    addRepeats(query.items, this.index.repeats, row);
  }

  /** Steps 1 and 2. */
  private findNearest({ items }: ModelQuery): void {
    const { contextItems, contextDecay, lengthNorm } = this.settings;
    const { postingStart, postings, sessionStart } = this.index;
    const { similarities, shared, nearest } = this;
    const met: number[] = [];
    const seen = new Set<number>();
    for (let place = items.length - 1; place >= 0 && seen.size < contextItems; place--) {
      const item = items[place]!;
      if (seen.has(item)) continue;
      seen.add(item);
      const weight = contextDecay ** (items.length - 1 - place) * this.rarityOf(item);
      for (let p = postingStart[item]!; p < postingStart[item + 1]!; p++) {
        const session = postings[p]!;
        if (similarities[session] === 0) {
          met.push(session);
          shared[session] = item;
        }
        similarities[session]! += weight;
      }
    }
    nearest.clear();
    for (const session of met) {
      const length = sessionStart[session + 1]! - sessionStart[session]!;
      nearest.offer(session, (similarities[session]! / length ** lengthNorm) * this.recencyOf(session));
      similarities[session] = 0;
    }
  }

  private rarityOf(item: number): number {
    const { postingStart, sessionStart } = this.index;
    const sessions = postingStart[item + 1]! - postingStart[item]!;
    return this.settings.rarity === 0 ? 1 : Math.log(sessionStart.length / (sessions + 1)) ** this.settings.rarity;
  }

  private recencyOf(session: number): number {
    const { recencyHalf } = this.settings;
    const sessions = this.index.sessionStart.length - 1;
    return recencyHalf === 0 ? 1 : 2 ** (-(1 - (session + 1) / sessions) / recencyHalf);
  }

  /** Step 3 for one session. */
  private addItemsOf(session: number, weight: number, row: Float32Array): void {
    const { stepDecay, backwardShare } = this.settings;
    const { sessionStart, sessionItems } = this.index;
    const [from, end] = [sessionStart[session]!, sessionStart[session + 1]!];
    const match = sessionItems.lastIndexOf(this.shared[session]!, end - 1);
    let share = weight;
    for (let p = match + 1; p < end; p++) {
      row[sessionItems[p]!]! += share;
      share *= stepDecay;
    }
    share = weight * backwardShare;
    for (let p = match - 1; p >= from; p--) {
      row[sessionItems[p]!]! += share;
      share *= stepDecay;
    }
  }

  /** Scores are chances already: shares of votes, and of how often people came back. */
  confidence(query: ModelQuery, items: Int32Array): Float32Array {
    return this.score(query, items).map((score) => Math.min(1, score));
  }

  explain(query: ModelQuery, item: number): readonly ModelReason[] {
    const [score] = this.score(query, Int32Array.of(item));
    if (!(score! > 0)) return [];
    const last = query.items.at(-1)!;
    return [{ kind: 'sequential-pattern', strength: Math.min(1, score!), items: [last] }];
  }

  foldInUser(): undefined {
    return undefined;
  }

  /** No session met it yet. */
  foldInItem(): number {
    return -1;
  }

  itemVectors(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}
}
