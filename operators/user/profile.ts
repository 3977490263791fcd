/**
 * Fourth operator of stage 1: keeps the facts about a person (profile-state.ts) and ends the life of idle state.
 *
 * A late interaction is put where its time belongs; counts do not care. Segments and consent are last-writer-wins by
 * event time, so a late upsert does not bring back what was replaced. Every record of a person passes through here, so
 * the idle timer here speaks for all operators: when it fires on a person who stayed away, all cells of the key go.
 */
import { hash32 } from '../../schemas/ids.js';
import type { Consent, Interaction, UserUpsert } from '../../schemas/records.js';
import type { Context, Operator } from '../../streams/runtime/operator.js';
import { typeIndex } from './event-weights.js';
import { addSeen, emptyProfileState, profileCodec, type ProfileState } from './profile-state.js';
import type { UserEvent } from './user-events.js';

export interface ProfileConfig {
  /** Latest interactions kept; default 50. */
  readonly recentMax: number;
  /** Items remembered as seen, by hash; default 200. */
  readonly seenMax: number;
  /** Blocked and disliked items kept, each; default 200. */
  readonly refusedMax: number;
  /** Segments kept of a user upsert; default 16. */
  readonly segmentsMax: number;
  /** After so long without a record all state of the key is removed, ms; default 90 d. */
  readonly idleTtlMs: number;
}

export const DEFAULT_PROFILE: ProfileConfig = {
  recentMax: 50,
  seenMax: 200,
  refusedMax: 200,
  segmentsMax: 16,
  idleTtlMs: 90 * 86_400_000,
};

export function createProfileOperator(config: ProfileConfig = DEFAULT_PROFILE): Operator<UserEvent, ProfileState> {
  return {
    name: 'profile',
    purity: 'log-pure',
    state: profileCodec,
    process(record, cell, context) {
      if (record.kind !== 'Interaction' && record.kind !== 'Impression' && record.kind !== 'UserUpsert') return;
      const state = cell.getOr(emptyProfileState);
      cell.changed();
      if (record.kind === 'Interaction') addInteraction(state, record, context.time);
      if (record.kind === 'UserUpsert') takeUpsert(state, record, context.time);
      else if (record.context !== null) takePlace(state, record.context.device, record.context.country);
      if (record.consent !== null) takeConsent(state, record.consent, context.time);
      if (context.time > state.lastAt) state.lastAt = context.time;
      armIdleTimer(state, context);
    },
    fire(cell, context) {
      const state = cell.get();
      if (state === undefined || context.time !== state.timer) return;
      if (state.lastAt + config.idleTtlMs <= context.time) {
        context.removeCells();
        return;
      }
      state.timer = 0;
      armIdleTimer(state, context);
      cell.changed();
    },
    merge(target, source, context) {
      const state = target.getOr(emptyProfileState);
      source.recentItems.all().forEach((itemId, i) => {
        addRecent(state, itemId, source.recentTypes[i]!, source.recentTimes[i]!);
      });
      for (let i = 0; i < source.seenCount; i++) {
        addSeen(state, source.seen[(source.seenOldest + i) % source.seenCount]!, config.seenMax);
      }
      for (const itemId of source.blockedItems) refuse(state.blockedItems, itemId);
      for (const itemId of source.dislikedItems) refuse(state.dislikedItems, itemId);
      for (let i = 0; i < state.counts.length; i++) state.counts[i]! += source.counts[i]!;
      if (source.segmentsAt > state.segmentsAt) {
        state.segments = source.segments;
        state.segmentsAt = source.segmentsAt;
      }
      if (source.consent !== null) takeConsent(state, source.consent, source.consentAt);
      takePlace(state, state.device ?? source.device, state.country ?? source.country);
      state.labels = undefined;
      state.lastAt = Math.max(state.lastAt, source.lastAt);
      armIdleTimer(state, context);
      target.changed();
    },
  };

  function addInteraction(state: ProfileState, record: Interaction, time: number): void {
    const type = typeIndex(record.type);
    const { itemId } = record;
    addRecent(state, itemId, type, time);
    addSeen(state, hash32(itemId), config.seenMax);
    state.counts[type]!++;
    if (record.type === 'block') refuse(state.blockedItems, itemId);
    else if (record.type === 'dislike') refuse(state.dislikedItems, itemId);
    // A like takes a dislike back; a block stays until the person's state goes.
    else if (record.type === 'like') removeFrom(state.dislikedItems, itemId);
  }

  function addRecent(state: ProfileState, itemId: string, type: number, time: number): void {
    const { recentItems, recentTypes, recentTimes } = state;
    let place = recentTimes.length;
    while (place > 0 && recentTimes[place - 1]! > time) place--;
    const full = recentTimes.length >= config.recentMax;
    if (full && place === 0) return;
    recentItems.insert(place, itemId);
    if (place === recentTimes.length) {
      recentTypes.push(type);
      recentTimes.push(time);
    } else {
      recentTypes.splice(place, 0, type);
      recentTimes.splice(place, 0, time);
    }
    if (!full) return;
    recentItems.removeFirst();
    recentTypes.shift();
    recentTimes.shift();
  }

  function refuse(items: string[], itemId: string): void {
    removeFrom(items, itemId);
    items.push(itemId);
    if (items.length > config.refusedMax) items.shift();
  }

  function takeUpsert(state: ProfileState, record: UserUpsert, time: number): void {
    if (time < state.segmentsAt) return;
    state.segmentsAt = time;
    state.segments = record.segments.slice(0, config.segmentsMax);
    state.labels = undefined;
  }

  function armIdleTimer(state: ProfileState, context: Context): void {
    if (state.timer !== 0) return;
    state.timer = state.lastAt + config.idleTtlMs;
    context.setTimer(state.timer);
  }
}

function removeFrom(items: string[], itemId: string): void {
  const index = items.indexOf(itemId);
  if (index >= 0) items.splice(index, 1);
}

function takePlace(state: ProfileState, device: string | null, country: string | null): void {
  if (device !== null && device !== state.device) {
    state.device = device;
    state.labels = undefined;
  }
  if (country !== null && country !== state.country) {
    state.country = country;
    state.labels = undefined;
  }
}

function takeConsent(state: ProfileState, consent: Consent, time: number): void {
  if (time < state.consentAt) return;
  state.consent = consent;
  state.consentAt = time;
}
