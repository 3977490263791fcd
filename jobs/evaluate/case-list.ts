/**
 * The questions of an evaluation: each a stretch of somebody's history, and the items that would have been right.
 *
 * Cases are places in shared arrays, so that a million of them cost a few numbers each; queries are views, not copies.
 *
 * Invariant: a history holds nothing that happened after the question, and with `excludesHistory` no relevant item is an
 * excluded one: a case of which nothing right remains is left out and counted.
 */
import type { Random } from '../../streams/random.js';
import type { ModelQuery } from '../../serving/models/model.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import { grown } from '../../streams/typed-growth.js';

/** Arrays the histories are stretches of. */
export type Histories = Pick<TrainingSet, 'items' | 'times' | 'weights' | 'types' | 'hasTimes' | 'hasWeights'>;

export interface CaseDraft {
  /** Index of the user in the training set, −1 for one it does not know. */
  readonly user: number;
  /** Stretch of the history arrays. */
  readonly from: number;
  readonly to: number;
  /** Distinct items, in any order. */
  readonly relevant: ArrayLike<number>;
  /** Time of the question, ms; NaN without times. */
  readonly now?: number;
}

export interface CaseListOptions {
  /** What is in the history is not offered again. */
  readonly excludesHistory: boolean;
  /** Cases whose items were never trained on are left out; else they count as what they are, hard to get right. */
  readonly isTrained?: ((item: number) => boolean) | undefined;
}

export class CaseList {
  count = 0;
  /** Cases of which nothing right remained, by reason. */
  readonly leftOut = { inHistory: 0, untrained: 0 };
  /** Items that are ranked, ascending; all when undefined. */
  candidates: Int32Array | undefined;
  private users = new Int32Array(1024);
  private froms = new Int32Array(1024);
  private tos = new Int32Array(1024);
  private nows = new Float64Array(1024);
  private relevantStart = new Int32Array(1025);
  private relevantItems = new Int32Array(1024);

  constructor(
    private readonly histories: Histories,
    readonly options: CaseListOptions,
  ) {}

  /** The same questions, with only these items to rank. */
  among(candidates: Int32Array): this {
    this.candidates = candidates;
    return this;
  }

  add(draft: CaseDraft): void {
    const relevant = this.admitted(draft);
    if (relevant.length === 0) return;
    const c = this.count++;
    this.growTo(c + 1);
    this.users[c] = draft.user;
    this.froms[c] = draft.from;
    this.tos[c] = draft.to;
    this.nows[c] = draft.now ?? NaN;
    const start = this.relevantStart[c]!;
    this.relevantItems = grown(this.relevantItems, start + relevant.length);
    this.relevantItems.set(relevant, start);
    this.relevantStart[c + 1] = start + relevant.length;
  }

  /** Views into shared arrays; valid as long as the list. */
  query(index: number): ModelQuery {
    const [from, to] = [this.froms[index]!, this.tos[index]!];
    const { items, times, weights, types, hasTimes, hasWeights } = this.histories;
    const history = items.subarray(from, to);
    const now = this.nows[index]!;
    return {
      user: this.users[index]!,
      items: history,
      times: hasTimes ? times.subarray(from, to) : undefined,
      weights: hasWeights ? weights.subarray(from, to) : undefined,
      types: types.subarray(from, to),
      excluded: this.options.excludesHistory ? history : undefined,
      now: Number.isNaN(now) ? undefined : now,
    };
  }

  /** Distinct, ascending. */
  relevant(index: number): Int32Array {
    return this.relevantItems.subarray(this.relevantStart[index], this.relevantStart[index + 1]);
  }

  /** At most `count` of the questions, drawn, in their order; shares the histories. */
  drawn(count: number, random: Random): CaseList {
    if (count >= this.count) return this;
    const indexes = random.shuffle(Array.from({ length: this.count }, (_, c) => c)).slice(0, count);
    const fewer = new CaseList(this.histories, this.options);
    fewer.candidates = this.candidates;
    for (const c of indexes.sort((left, right) => left - right)) {
      const [user, from, to] = [this.users[c]!, this.froms[c]!, this.tos[c]!];
      fewer.add({ user, from, to, relevant: this.relevant(c), now: this.nows[c]! });
    }
    return fewer;
  }

  userOf(index: number): number {
    return this.users[index]!;
  }

  historyLength(index: number): number {
    return this.tos[index]! - this.froms[index]!;
  }

  private admitted({ from, to, relevant }: CaseDraft): Int32Array {
    const { excludesHistory, isTrained } = this.options;
    const history = excludesHistory ? new Set(this.histories.items.subarray(from, to)) : undefined;
    const fresh = Array.from(relevant).filter((item) => history?.has(item) !== true);
    if (fresh.length === 0) this.leftOut.inHistory++;
    const known = isTrained === undefined ? fresh : fresh.filter(isTrained);
    if (known.length === 0 && fresh.length > 0) this.leftOut.untrained++;
    return Int32Array.from(new Set(known)).sort();
  }

  private growTo(count: number): void {
    this.users = grown(this.users, count);
    this.froms = grown(this.froms, count);
    this.tos = grown(this.tos, count);
    this.nows = grown(this.nows, count);
    this.relevantStart = grown(this.relevantStart, count + 1);
  }
}
