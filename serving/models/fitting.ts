/**
 * Small things every fit and every model needs: cancelling, memory bounds, parsed settings, the name of a space, the k
 * best of a row of scores.
 *
 * Invariant: of equal scores the item with the lower index comes first, in every model and in evaluation alike.
 */
import { createHash } from 'node:crypto';
import { EngineError } from '../../schemas/errors.js';
import { defineConfig } from '../../streams/config.js';
import type { Section, SectionValues } from '../../streams/config.js';
import type { Algorithm, FitContext, ModelQuery, RankedItems, RankingBasis } from './model.js';
import { TopN } from '../tables/top-n.js';

/** Call between steps: throws TRAINING_CANCELLED once training is to stop. */
export function throwIfCancelled(context: Pick<FitContext, 'signal'>): void {
  if (!context.signal.aborted) return;
  throw new EngineError('TRAINING_CANCELLED', 'Training was cancelled.', { cause: context.signal.reason as unknown });
}

/** Call before a large allocation: throws MODEL_TOO_LARGE naming what is too large. */
export function requireMemory(context: Pick<FitContext, 'memoryBytesMax'>, bytes: number, what: string): void {
  if (bytes <= context.memoryBytesMax) return;
  const mebibytes = (count: number): number => Math.ceil(count / 2 ** 20);
  throw new EngineError(
    'MODEL_TOO_LARGE',
    `${what} needs ${mebibytes(bytes)} MiB of memory, allowed are ${mebibytes(context.memoryBytesMax)} MiB. ` +
      'Raise the bound, take a smaller setting, or an algorithm that needs less.',
    { context: { bytes, bytesMax: context.memoryBytesMax } },
  );
}

/** Defaults filled in and everything checked; throws CONFIG_INVALID listing every fault. */
export function parseSettings<S extends Section>(algorithm: Algorithm<S>, raw: unknown): SectionValues<S> {
  const { name } = algorithm.settings;
  const config = defineConfig({ [name]: algorithm.settings }).load({ text: JSON.stringify({ [name]: raw ?? {} }) });
  return config[name] as SectionValues<S>;
}

/** Name of a model's space: the algorithm and a hash of what decides it, usually the item vectors or the saved bytes. */
export function spaceIdOf(algorithm: string, ...decisive: readonly ArrayBufferView[]): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of decisive)
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return `${algorithm}/${hash.digest('hex').slice(0, SPACE_HASH_DIGITS)}`;
}

const SPACE_HASH_DIGITS = 16;

const LOWER_INDEX_FIRST = { precedes: (left: number, right: number): boolean => left < right };

/** The k best of `scores[0 … itemCount)` but the excluded and those of score −Infinity or NaN; O(items · log k). */
export function topOf(
  scores: Float32Array | Float64Array,
  k: number,
  excluded: Int32Array | undefined,
  basis: RankingBasis = 'model',
): RankedItems {
  const without = excluded === undefined || excluded.length === 0 ? undefined : new Set(excluded);
  const best = new TopN(Math.max(1, Math.min(k, scores.length)), LOWER_INDEX_FIRST);
  for (let item = 0; item < scores.length; item++) {
    const score = scores[item]!;
    // Also false for NaN, and for −Infinity while the list is not full.
    if (!(score > best.threshold) || without?.has(item) === true) continue;
    best.offer(item, score);
  }
  best.sort();
  return {
    items: best.items.slice(0, best.length),
    scores: Float32Array.from(best.scores.subarray(0, best.length)),
    basis,
  };
}

/** `scoreAll` for models whose `score` is already the fastest way: one query after the other. */
export function scoreRows(
  queries: readonly ModelQuery[],
  itemCount: number,
  into: Float32Array,
  scoreInto: (query: ModelQuery, row: Float32Array) => void,
): void {
  queries.forEach((query, q) => scoreInto(query, into.subarray(q * itemCount, (q + 1) * itemCount)));
}
