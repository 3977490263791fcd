/**
 * The one table of algorithms: a new model is entered here, and configuration, training, evaluation and serving know it.
 *
 * Entries are loaded when first asked for, so that a process that serves popularity does not load a tensor library.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Algorithm } from './model.js';

const ALGORITHMS: Readonly<Record<string, () => Promise<Algorithm>>> = {
  neural_cf: async () => (await import('./neural-cf/neural-cf.js')).neuralCf,
  svd: async () => (await import('./svd/svd.js')).svd,
  nmf: async () => (await import('./nmf/nmf.js')).nmf,
  ials: async () => (await import('./ials/ials.js')).ials,
  ease: async () => (await import('./ease/ease.js')).ease,
  graph_filter: async () => (await import('./graph-filter/graph-filter.js')).graphFilter,
  category_popularity: async () => (await import('./category-popularity/category-popularity.js')).categoryPopularity,
  content: async () => (await import('./content/content.js')).content,
  popularity: async () => (await import('./popularity/popularity.js')).popularity,
  item_knn: async () => (await import('./item-knn/item-knn.js')).itemKnn,
  session_knn: async () => (await import('./session-knn/session-knn.js')).sessionKnn,
  autoencoder: async () => (await import('./autoencoder/autoencoder.js')).autoencoder,
  rnn: async () => (await import('./rnn/rnn.js')).rnn,
  transformer: async () => (await import('./transformer/transformer.js')).transformer,
};

export const ALGORITHM_NAMES: readonly string[] = Object.keys(ALGORITHMS);

/** Throws MODEL_UNKNOWN listing the names there are. */
export function requireAlgorithm(name: string): Promise<Algorithm> {
  const load = Object.hasOwn(ALGORITHMS, name) ? ALGORITHMS[name] : undefined;
  if (load !== undefined) return load();
  throw new EngineError('MODEL_UNKNOWN', `There is no algorithm '${name}'; there are ${ALGORITHM_NAMES.join(', ')}.`);
}
