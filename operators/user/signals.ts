/**
 * Eighth operator of stage 1: tells items what happened to them, as messages to stage 2. Keeps no state.
 *
 *   interaction        → 1 ItemInteraction to the item, and up to `pairsMax` ItemPairs, each to an item met earlier in
 *                        the session: weight × pairDecay^(distance − 1), distance 1 for the item just before
 *   viewed impression  → 1 ItemExposure to each item of the slate; served ones tell nothing
 *
 * An item met again in its session sends no pairs for a view or click: going back and forth between two items, by a
 * person or a script, must not make them neighbours. Stronger events (a purchase after a view) do send them. Negative
 * ones never do. Pairs go one way, to the earlier item ("after this, that"): the other way doubles stage 2's input;
 * operators/README.md has the counts.
 */
import { recordWriter } from '../../schemas/codec.js';
import { sessionRef } from '../../schemas/ids.js';
import type { Impression, Interaction } from '../../schemas/records.js';
import type { Context, Operator } from '../../streams/runtime/operator.js';
import { quantizedLength, quantizeVector } from '../item-vectors.js';
import { carriedCategory } from './catalogue.js';
import { DEFAULT_INTEREST_WEIGHTS, interestWeight, type EventWeights } from './event-weights.js';
import { mayPersonalize, segmentLabels, type ProfileState } from './profile-state.js';
import { gapSessionId, type SessionState } from './session-state.js';
import { NO_STATE } from '../state-layout.js';
import type { UserEmbeddingState } from './user-embedding.js';
import type { UserEvent } from './user-events.js';

export interface SignalsConfig {
  /** Earlier distinct items of the session that are paired with the current one; default 3. */
  readonly pairsMax: number;
  /** Factor a step of distance; default .7. */
  readonly pairDecay: number;
  /** Also tell the current item what came before it; default false. */
  readonly pairBothDirections: boolean;
  /** Segments sent along; default 4. */
  readonly segmentsMax: number;
  /** Places of a viewed slate that are told; default 50. */
  readonly exposuresMax: number;
  readonly weights: EventWeights;
}

export const DEFAULT_SIGNALS: SignalsConfig = {
  pairsMax: 3,
  pairDecay: 0.7,
  pairBothDirections: false,
  segmentsMax: 4,
  exposuresMax: 50,
  weights: DEFAULT_INTEREST_WEIGHTS,
};

export interface SignalsDeps {
  /** Physical name of stage 2's input topic. */
  readonly itemEventsTopic: string;
  readonly session: Operator<never, SessionState>;
  readonly profile: Operator<never, ProfileState>;
  readonly userEmbedding: Operator<never, UserEmbeddingState>;
}

/** Above this weight an event says more than that the item was met. */
const STRONG_ABOVE = 1;
const NO_NAMES: readonly string[] = [];

const writeInteraction = recordWriter('ItemInteraction');
const writePair = recordWriter('ItemPair');
const writeExposure = recordWriter('ItemExposure');

export function createSignalsOperator(config: SignalsConfig, deps: SignalsDeps): Operator<UserEvent, never> {
  let quantized = Buffer.alloc(0);
  return {
    name: 'signals',
    purity: 'table-reading',
    state: NO_STATE,
    reads: ['session', 'profile', 'user-embedding'],
    process(record, _cell, context) {
      if (record.kind === 'Interaction') {
        const session = context.peek(deps.session);
        const weight = interestWeight(config.weights, record);
        emitInteraction(record, weight, session, context);
        if (weight > 0 && session !== undefined) emitPairs(record, weight, session, context);
      } else if (record.kind === 'Impression' && record.stage === 'viewed') {
        emitExposures(record, context);
      }
    },
  };

  function emitInteraction(
    record: Interaction,
    weight: number,
    session: SessionState | undefined,
    context: Context,
  ): void {
    const profile = context.peek(deps.profile);
    const personal = profile !== undefined && mayPersonalize(profile);
    const embedding = personal ? context.peek(deps.userEmbedding) : undefined;
    const sessionId = session?.current?.id ?? record.sessionId ?? gapSessionId(context.time);
    const category = carriedCategory(record);
    const signal = {
      itemId: record.itemId,
      ts: context.time,
      type: record.type,
      weight,
      sessionRef: sessionRef(context.key, sessionId),
      categories: category === undefined ? NO_NAMES : [category],
      segments: personal ? segmentsOf(profile) : NO_NAMES,
      attributed: record.attribution !== null,
      space: embedding === undefined ? null : embedding.space,
      userVector: embedding === undefined ? null : quantize(embedding.vector),
    };
    context.emitRecord(deps.itemEventsTopic, record.itemId, writeInteraction, signal);
  }

  function segmentsOf(profile: ProfileState): readonly string[] {
    const labels = segmentLabels(profile);
    return labels.length <= config.segmentsMax ? labels : labels.slice(0, config.segmentsMax);
  }

  /** Into a buffer that is reused: the record's encoding copies it. */
  function quantize(vector: Float32Array): Buffer {
    if (quantized.length !== quantizedLength(vector.length)) quantized = Buffer.alloc(quantizedLength(vector.length));
    return quantizeVector(vector, quantized);
  }

  function emitPairs(record: Interaction, weight: number, state: SessionState, context: Context): void {
    const { current } = state;
    if (current === undefined || (state.currentIsRepeat && weight <= STRONG_ABOVE)) return;
    const { names } = current.items;
    const own = names.indexOf(record.itemId);
    if (own < 0) return;
    let decayed = weight;
    for (let i = own + 1; i < names.length && i <= own + config.pairsMax; i++) {
      emitPair(names[i]!, record.itemId, { weight: decayed, following: true }, context);
      if (config.pairBothDirections) emitPair(record.itemId, names[i]!, { weight: decayed, following: false }, context);
      decayed *= config.pairDecay;
    }
  }

  function emitPair(
    itemId: string,
    otherItemId: string,
    { weight, following }: { readonly weight: number; readonly following: boolean },
    context: Context,
  ): void {
    const pair = { itemId, otherItemId, ts: context.time, weight, following };
    context.emitRecord(deps.itemEventsTopic, itemId, writePair, pair);
  }

  function emitExposures(record: Impression, context: Context): void {
    const { slate, placement } = record;
    for (let i = 0; i < slate.length && i < config.exposuresMax; i++) {
      const { itemId, position } = slate[i]!;
      const exposure = { itemId, ts: context.time, position, placement };
      context.emitRecord(deps.itemEventsTopic, itemId, writeExposure, exposure);
    }
  }
}
