/**
 * Source `session-knn`: what other people went on to in the sessions most like this one.
 *
 * VMIS-kNN (Kersbergen, Sprangers, Schelter: Serenade, SIGMOD 2022) on an index the stream keeps current:
 * 1. for the last `contextItems` items of the context, at distance d from the latest, each of the item's latest `sessionsPerItem` sessions
 *    gains contextDecay^d;
 * 2. the `neighbours` sessions with the greatest similarity stay, of equals the latest;
 * 3. each gives weight = similarity / (1 + age / halfWeight) to its items: in full to the one right after the matched item, stepDecay less
 *    for each step further, and `backwardShare` of that to items before it (what follows matters more than what
 *    preceded).
 * Scores are divided by the neighbours' total weight.
 *
 * Worked example: context [b, a] (a latest), sessions x: a→c→d and y: b→c. x gets 1, y .6; c scores 1 + .6, d .75, over 1.6.
 */
import type { ItemTables } from '../tables/item-tables.js';
import type { SessionTable } from '../tables/session-table.js';
import { Accumulator, selectBest } from '../tables/top-n.js';
import { grown } from '../../streams/typed-growth.js';
import type { RetrievalRequest } from './request.js';
import { offerSums, type CandidateBuffer, type RetrievalSource } from './source.js';

export interface SessionKnnConfig {
  readonly contextItems?: number;
  readonly contextDecay?: number;
  readonly sessionsPerItem?: number;
  readonly neighbours?: number;
  /** Age at which a session counts half. */
  readonly halfWeightMs?: number;
  readonly stepDecay?: number;
  readonly backwardShare?: number;
}

const HOUR_MS = 3_600_000;
/** Steps beyond this weigh what this one does. */
const STEPS_MAX = 64;

export class SessionKnnSource implements RetrievalSource {
  readonly name = 'session-knn';
  readonly reason = 'also-viewed';
  private readonly config: Required<SessionKnnConfig>;
  private readonly contextWeights: Float64Array;
  private readonly stepWeights: Float64Array;
  private readonly ring: Int32Array;
  /** Sessions met, with their similarity; by slot: similarity and the context item that matched first. */
  private readonly met: Int32Array;
  private readonly keys: Float64Array;
  private similarities = new Float64Array(0);
  private matches = new Int32Array(0);
  /** Distance of the context item that counted the slot last, plus 1: a ring may name a session twice. */
  private counted = new Uint8Array(0);
  private readonly sums = new Accumulator();

  constructor(config: SessionKnnConfig = {}) {
    this.config = {
      contextItems: config.contextItems ?? 5,
      contextDecay: config.contextDecay ?? 0.6,
      sessionsPerItem: config.sessionsPerItem ?? 500,
      neighbours: config.neighbours ?? 200,
      halfWeightMs: config.halfWeightMs ?? 6 * HOUR_MS,
      stepDecay: config.stepDecay ?? 0.75,
      backwardShare: config.backwardShare ?? 0.4,
    };
    const { contextItems, contextDecay, sessionsPerItem, stepDecay } = this.config;
    this.contextWeights = Float64Array.from({ length: contextItems }, (_, d) => contextDecay ** d);
    this.stepWeights = Float64Array.from({ length: STEPS_MAX }, (_, step) => stepDecay ** step);
    this.ring = new Int32Array(sessionsPerItem);
    this.met = new Int32Array(contextItems * sessionsPerItem);
    this.keys = new Float64Array(contextItems * sessionsPerItem);
  }

  retrieve(request: RetrievalRequest, tables: ItemTables, into: CandidateBuffer): void {
    const { sessions } = tables;
    const met = this.meetSessions(request, sessions);
    if (met === 0) return;
    const kept = Math.min(met, this.config.neighbours);
    if (met > kept) selectBest({ items: this.met, scores: this.keys, tieBreak: sessions }, met, kept);
    this.sums.clear(tables.items.count);
    let total = 0;
    for (let i = 0; i < kept; i++) total += this.addItemsOf(this.met[i]!, sessions, request.now);
    for (let i = 0; i < met; i++) {
      this.similarities[this.met[i]!] = 0;
      this.counted[this.met[i]!] = 0;
    }
    if (!(total > 0)) return;
    offerSums(this.sums, request, into, total);
  }

  /** Step 1. Returns how many sessions were met; they stand in `met`, their similarities in `keys`. */
  private meetSessions(request: RetrievalRequest, sessions: SessionTable): number {
    this.similarities = grown(this.similarities, sessions.slotCount);
    this.matches = grown(this.matches, sessions.slotCount);
    this.counted = grown(this.counted, sessions.slotCount);
    const { similarities, matches, counted, ring, met } = this;
    const depth = Math.min(request.contextLength, this.config.contextItems);
    let count = 0;
    for (let d = 0; d < depth; d++) {
      const item = request.context[d]!;
      const weight = this.contextWeights[d]!;
      const found = sessions.latestSlots(item, ring, ring.length);
      for (let i = 0; i < found; i++) {
        const slot = ring[i]!;
        if (slot === request.sessionSlot || counted[slot] === d + 1) continue;
        counted[slot] = d + 1;
        if (similarities[slot] === 0) {
          met[count++] = slot;
          matches[slot] = item;
        }
        similarities[slot] = similarities[slot]! + weight;
      }
    }
    for (let i = 0; i < count; i++) this.keys[i] = similarities[met[i]!]!;
    return count;
  }

  /** Step 3 for one session; returns its weight. */
  private addItemsOf(slot: number, sessions: SessionTable, now: number): number {
    const { items, itemsPerSession } = sessions;
    const { sums, stepWeights } = this;
    const { halfWeightMs, backwardShare } = this.config;
    const age = Math.max(0, now - sessions.lastTimes[slot]!);
    const weight = this.similarities[slot]! / (1 + age / halfWeightMs);
    const start = slot * itemsPerSession;
    const length = sessions.lengths[slot]!;
    const match = this.matches[slot]!;
    let place = 0;
    while (place < length && items[start + place] !== match) place++;
    // The matched item fell out of a long session: then everything kept came after it.
    if (place === length) place = -1;
    for (let i = 0; i < place; i++) {
      sums.add(items[start + i]!, weight * stepWeights[Math.min(STEPS_MAX, place - i) - 1]! * backwardShare);
    }
    for (let i = place + 1; i < length; i++) {
      sums.add(items[start + i]!, weight * stepWeights[Math.min(STEPS_MAX, i - place) - 1]!);
    }
    return weight;
  }
}
