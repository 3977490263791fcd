/**
 * Seventh operator of stage 1: joins viewed slates with the feedback that followed, one Reward a slate.
 *
 *   served ──▶ remembered, nothing is sent
 *   viewed ──▶ pending ──feedback within windowMs of the view──▶ pending ──timer at viewedAt + windowMs──▶ sent
 *
 * Feedback with a requestId counts for that slate; without one, for the slate viewed last that shows the item. What the
 * viewed record leaves out (versions, propensities, assignments) is completed from the served one. Feedback that names
 * a request and arrives before its view is held, so that the order of arrival within the window does not matter;
 * feedback that arrives after the slate was sent is lost. A place is rewarded once: a view of places that were sent
 * before is ignored. Clicks without a view earn nothing: what was not seen was not chosen.
 *
 *   reward of a place = clip(Σ weight(feedback), −1, 1)
 */
import { recordWriter } from '../../schemas/codec.js';
import { hash32 } from '../../schemas/ids.js';
import type { Impression, Interaction, InteractionType } from '../../schemas/records.js';
import type { Context, Operator } from '../../streams/runtime/operator.js';
import { DEFAULT_REWARD_WEIGHTS, eventWeight, type EventWeights } from './event-weights.js';

import {
  packServed,
  readEarly,
  readPacked,
  readPending,
  unpackServed,
  writeEarly,
  writePacked,
  writePending,
} from './slates.js';
import type { EarlyFeedback, PackedSlate, PendingSlate, Place, ServedSlate } from './slates.js';
import { createLayoutCodec } from '../state-layout.js';
import { readLength } from './state-bytes.js';
import type { UserEvent } from './user-events.js';

export interface RewardsConfig {
  /** How long after the view feedback counts, ms; default 5 min. */
  readonly windowMs: number;
  /** Viewed slates that may wait at a time; the oldest is sent early beyond it; default 20. */
  readonly pendingMax: number;
  /** Served slates remembered; default 8. */
  readonly servedMax: number;
  /** Places kept of a slate; default 50. */
  readonly placesMax: number;
  /** Feedback held for a view that is not known yet; default 8. */
  readonly earlyMax: number;
  /** Sent requests remembered, so that their places are not sent again; default 16. */
  readonly settledMax: number;
  readonly weights: EventWeights;
}

export const DEFAULT_REWARDS: RewardsConfig = {
  windowMs: 5 * 60_000,
  pendingMax: 20,
  servedMax: 8,
  placesMax: 50,
  earlyMax: 8,
  settledMax: 16,
  weights: DEFAULT_REWARD_WEIGHTS,
};

export interface RewardsDeps {
  /** Physical name of the topic of rewards. */
  readonly rewardsTopic: string;
}

/** A request some places of which were sent: bit p of `positions` is position p. */
export interface SettledRequest {
  readonly hash: number;
  positions: number;
}

export interface RewardsState {
  /** Each list oldest first. */
  readonly served: PackedSlate[];
  readonly pending: PendingSlate[];
  readonly early: EarlyFeedback[];
  readonly settled: SettledRequest[];
  /** The armed timer, 0 for none. */
  timer: number;
}

export function emptyRewardsState(): RewardsState {
  return { served: [], pending: [], early: [], settled: [], timer: 0 };
}

/** Types listed of one place's feedback. */
const FEEDBACK_MAX = 8;
/** Positions told apart in a settled request; those beyond may be sent again. */
const POSITION_BITS = 32;

const writeReward = recordWriter('Reward');

export function createRewardsOperator(config: RewardsConfig, deps: RewardsDeps): Operator<UserEvent, RewardsState> {
  return {
    name: 'rewards',
    purity: 'log-pure',
    state: rewardsCodec,
    process(record, cell, context) {
      if (record.kind === 'Interaction') {
        const state = cell.get();
        if (state === undefined && record.attribution === null) return;
        if (takeFeedback(state ?? cell.getOr(emptyRewardsState), record, context.time)) cell.changed();
      } else if (record.kind === 'Impression') {
        const state = cell.getOr(emptyRewardsState);
        if (record.stage === 'served') remember(state, record, context.time);
        else takeView(state, record, context);
        cell.changed();
      }
    },
    fire(cell, context) {
      const state = cell.get();
      if (state === undefined || context.time !== state.timer) return;
      state.timer = 0;
      settleDue(state, context.time, context);
      arm(state, context);
      cell.changed();
    },
    merge(target, source, context) {
      const state = target.getOr(emptyRewardsState);
      state.served.push(...source.served);
      state.served.sort((left, right) => left.servedAt - right.servedAt);
      state.served.splice(0, state.served.length - config.servedMax);
      state.settled.unshift(...source.settled);
      state.settled.splice(0, state.settled.length - config.settledMax);
      state.early.push(...source.early);
      state.early.splice(0, state.early.length - config.earlyMax);
      for (const slate of source.pending) state.pending.push(slate);
      state.pending.sort((left, right) => left.viewedAt - right.viewedAt);
      while (state.pending.length > config.pendingMax) settle(state, 0, context);
      settleDue(state, Math.max(context.streamTime, context.time) - 1, context);
      arm(state, context);
      target.changed();
    },
  };

  function remember(state: RewardsState, record: Impression, time: number): void {
    const slate: ServedSlate = { servedAt: time, itemIds: [], positions: [], propensities: [], ...originOf(record) };
    for (const place of record.slate) {
      if (slate.itemIds.length === config.placesMax) break;
      slate.itemIds.push(place.itemId);
      slate.positions.push(place.position);
      slate.propensities.push(place.propensity);
    }
    const known = state.served.findIndex((other) => other.requestId === slate.requestId);
    if (known >= 0) state.served.splice(known, 1);
    state.served.push(packServed(slate));
    if (state.served.length > config.servedMax) state.served.shift();
  }

  function takeView(state: RewardsState, record: Impression, context: Context): void {
    const packed = state.served.find((other) => other.requestId === record.requestId);
    const served = packed === undefined ? undefined : unpackServed(packed);
    const hash = hash32(record.requestId);
    const settled = state.settled.find((other) => other.hash === hash);
    let slate = state.pending.find((other) => other.requestId === record.requestId);
    if (slate === undefined) {
      slate = pendingFrom(record, served, context.time);
      let place = state.pending.length;
      while (place > 0 && state.pending[place - 1]!.viewedAt > slate.viewedAt) place--;
      state.pending.splice(place, 0, slate);
    }
    addPlaces(slate, record, { served, sentPositions: settled?.positions ?? 0 });
    if (slate.places.length === 0) {
      state.pending.splice(state.pending.indexOf(slate), 1);
      return;
    }
    takeEarly(state, slate);
    if (state.pending.length > config.pendingMax) settle(state, 0, context);
    // A timer for a time that has passed would fire before the next record only: the result is the same, sooner.
    settleDue(state, Math.max(context.streamTime, context.time) - 1, context);
    arm(state, context);
  }

  function addPlaces(
    slate: PendingSlate,
    record: Impression,
    known: { readonly served: ServedSlate | undefined; readonly sentPositions: number },
  ): void {
    for (const { itemId, position, propensity } of record.slate) {
      if (slate.places.length >= config.placesMax) return;
      if (position < POSITION_BITS && (known.sentPositions & (1 << position)) !== 0) continue;
      if (slate.places.some((other) => other.position === position && other.itemId === itemId)) continue;
      const completed = propensity ?? servedPropensity(known.served, itemId, position);
      slate.places.push({ itemId, position, propensity: completed, reward: 0, feedback: [] });
    }
  }

  /** Returns whether the state changed. */
  function takeFeedback(state: RewardsState, record: Interaction, time: number): boolean {
    const { attribution, itemId, type, value } = record;
    if (attribution === null) {
      for (let i = state.pending.length - 1; i >= 0; i--) {
        const place = placeFor(state.pending[i]!, itemId, time);
        if (place !== undefined) return addFeedback(place, type, value);
      }
      return false;
    }
    const { requestId } = attribution;
    const slate = state.pending.find((other) => other.requestId === requestId);
    if (slate !== undefined) {
      const place = placeFor(slate, itemId, time);
      return place !== undefined && addFeedback(place, type, value);
    }
    const hash = hash32(requestId);
    if (state.settled.some((other) => other.hash === hash)) return false;
    state.early.push({ requestId, itemId, type, value, at: time });
    if (state.early.length > config.earlyMax) state.early.shift();
    return true;
  }

  function placeFor(slate: PendingSlate, itemId: string, time: number): Place | undefined {
    if (time < slate.viewedAt || time > slate.viewedAt + config.windowMs) return undefined;
    return slate.places.find((place) => place.itemId === itemId);
  }

  function addFeedback(place: Place, type: InteractionType, value: number | null): boolean {
    place.reward += eventWeight(config.weights, type, value);
    if (place.feedback.length < FEEDBACK_MAX) place.feedback.push(type);
    return true;
  }

  function takeEarly(state: RewardsState, slate: PendingSlate): void {
    let kept = 0;
    for (const feedback of state.early) {
      const place = feedback.requestId === slate.requestId ? placeFor(slate, feedback.itemId, feedback.at) : undefined;
      if (place === undefined) state.early[kept++] = feedback;
      else addFeedback(place, feedback.type, feedback.value);
    }
    state.early.length = kept;
  }

  function settleDue(state: RewardsState, time: number, context: Context): void {
    while (state.pending.length > 0 && state.pending[0]!.viewedAt + config.windowMs <= time) settle(state, 0, context);
  }

  function settle(state: RewardsState, index: number, context: Context): void {
    const slate = state.pending[index]!;
    state.pending.splice(index, 1);
    noteSettled(state, slate);
    const reward = {
      userId: context.key,
      requestId: slate.requestId,
      placement: slate.placement,
      viewedAt: slate.viewedAt,
      settledAt: slate.viewedAt + config.windowMs,
      outcomes: slate.places.map((place) => ({ ...place, reward: Math.max(-1, Math.min(1, place.reward)) })),
      eligibleCount: slate.eligibleCount,
      versions: slate.versions,
      assignments: slate.assignments,
      context: slate.context,
    };
    context.emitRecord(deps.rewardsTopic, context.key, writeReward, reward);
  }

  function noteSettled(state: RewardsState, slate: PendingSlate): void {
    const hash = hash32(slate.requestId);
    let settled = state.settled.find((other) => other.hash === hash);
    if (settled === undefined) {
      settled = { hash, positions: 0 };
      state.settled.push(settled);
      if (state.settled.length > config.settledMax) state.settled.shift();
    }
    for (const { position } of slate.places) if (position < POSITION_BITS) settled.positions |= 1 << position;
  }

  function arm(state: RewardsState, context: Context): void {
    const first = state.pending[0];
    const due = first === undefined ? 0 : first.viewedAt + config.windowMs;
    if (due === state.timer) return;
    if (state.timer !== 0) context.clearTimer(state.timer);
    if (due !== 0) context.setTimer(due);
    state.timer = due;
  }
}

function originOf(record: Impression): Omit<ServedSlate, 'servedAt' | 'itemIds' | 'positions' | 'propensities'> {
  const { requestId, placement, eligibleCount, versions, assignments, context } = record;
  return { requestId, placement, eligibleCount, versions, assignments, context };
}

function pendingFrom(record: Impression, served: ServedSlate | undefined, time: number): PendingSlate {
  const origin = originOf(record);
  return {
    viewedAt: time,
    places: [],
    ...origin,
    eligibleCount: origin.eligibleCount ?? served?.eligibleCount ?? null,
    versions: origin.versions ?? served?.versions ?? null,
    assignments: origin.assignments.length > 0 ? origin.assignments : (served?.assignments ?? []),
    context: origin.context ?? served?.context ?? null,
  };
}

function servedPropensity(served: ServedSlate | undefined, itemId: string, position: number): number | null {
  if (served === undefined) return null;
  for (let i = 0; i < served.itemIds.length; i++) {
    if (served.itemIds[i] === itemId && served.positions[i] === position) return served.propensities[i]!;
  }
  return null;
}

export const rewardsCodec = createLayoutCodec<RewardsState>({
  name: 'rewards',
  version: 1,
  write(state, writer) {
    writer.writeLong(state.timer);
    writer.writeLong(state.served.length);
    for (const slate of state.served) writePacked(slate, writer);
    writer.writeLong(state.pending.length);
    for (const slate of state.pending) writePending(slate, writer);
    writer.writeLong(state.early.length);
    for (const feedback of state.early) writeEarly(feedback, writer);
    writer.writeLong(state.settled.length);
    for (const { hash, positions } of state.settled) {
      writer.writeLong(hash);
      writer.writeLong(positions);
    }
  },
  read(reader) {
    const state = emptyRewardsState();
    state.timer = reader.readLong();
    for (let left = readLength(reader); left > 0; left--) state.served.push(readPacked(reader));
    for (let left = readLength(reader); left > 0; left--) state.pending.push(readPending(reader));
    for (let left = readLength(reader); left > 0; left--) state.early.push(readEarly(reader));
    for (let left = readLength(reader); left > 0; left--) {
      state.settled.push({ hash: reader.readLong(), positions: reader.readLong() });
    }
    return state;
  },
});
