/**
 * Stage `fresh-items`: a bounded share of places for items too new to be found otherwise.
 *
 * Nobody has met a new item, so no source retrieves it, so nobody meets it: this breaks the circle. Of the latest
 * catalogue items (published within `freshMs`, met fewer than `signalsMax` times in the long half-life) one is chosen per
 * place by a hash of (first context item or placement, item, time bucket): the same request in the same bucket gives the same
 * items, different people get different ones. The places are the last of the list, at most `maxShare` of it, none in
 * lists shorter than 1 / maxShare. Runs last; it replaces, or appends when the list is short.
 */
import { hash32 } from '../../schemas/ids.js';
import type { ItemTables } from '../tables/item-tables.js';
import { isEligible } from './filters.js';
import type { PipelineRequest, PipelineStage, Slate } from './slate.js';
import { EXPLORATION_SOURCE, NO_SOURCE } from './slate.js';

export interface ExplorationConfig {
  readonly maxShare?: number;
  readonly freshMs?: number;
  /** Decayed signals from which an item is no longer new. */
  readonly signalsMax?: number;
  /** How long a choice stands, ms. */
  readonly bucketMs?: number;
}

const DAY_MS = 86_400_000;

export function createExplorationStage(tables: ItemTables, config: ExplorationConfig = {}): PipelineStage {
  const { maxShare = 0.1, freshMs = 2 * DAY_MS, signalsMax = 10, bucketMs = 300_000 } = config;
  const longest = tables.popularity.halfLivesMs.length - 1;
  return {
    name: 'fresh-items',
    apply(slate, request) {
      const places = Math.floor(request.limit * maxShare);
      if (places === 0 || tables.catalogue.newest.length === 0) return;
      const seed = hash32(`${request.placement}/${request.user.sessionRef ?? request.user.recentItems.at(-1) ?? ''}`);
      const bucket = Math.floor(request.now / bucketMs);
      for (let place = 0; place < places; place++) {
        const item = choose(slate, request, (seed ^ Math.imul(bucket + place, 0x9e3779b9)) >>> 0);
        if (item < 0) return;
        const target = Math.min(slate.length, request.limit - 1 - place);
        const score = slate.length > 0 ? slate.scores[Math.min(target, slate.length - 1)]! : 0;
        slate.write(target, item, score, EXPLORATION_SOURCE, NO_SOURCE);
        slate.length = Math.max(slate.length, target + 1);
      }
    },
  };

  /** The eligible fresh item with the least mixed hash, or −1. */
  function choose(slate: Slate, request: PipelineRequest, seed: number): number {
    const { newest } = tables.catalogue;
    let chosen = -1;
    let least = Infinity;
    for (let i = 0; i < newest.length; i++) {
      const item = newest.items[i]!;
      const age = request.now - newest.scores[i]!;
      if (age > freshMs) break;
      // First what costs least: few items have a lower hash than all before them.
      const hash = Math.imul(tables.items.hashOf(item) ^ seed, 0x85ebca6b) >>> 0;
      if (hash >= least || age < 0 || slate.has(item) || request.retrieval.isContext(item)) continue;
      if (tables.popularity.countAt(item, longest, request.now) >= signalsMax) continue;
      if (!isEligible(item, request, tables) || request.user.seen(tables.items.idOf(item))) continue;
      chosen = item;
      least = hash;
    }
    return chosen;
  }
}
