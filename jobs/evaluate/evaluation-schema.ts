/**
 * An evaluation file: data, protocol, models, metrics and seed of one row of figures, in YAML.
 *
 * Data paths are relative to the data folder (FRESHET_DATA), mappings are names of those that come with the engine or
 * paths relative to the evaluation file. The schema here is the reference of the format.
 */
import { z } from 'zod';

const share = (value: number) => z.number().gt(0).lt(1).default(value);

/** What all protocols share; each has its own defaults. */
const common = (defaults: { excludesHistory: boolean; coldItems: boolean }) => ({
  excludesHistory: z.boolean().default(defaults.excludesHistory).describe('What is in the history is not ranked.'),
  coldItems: z
    .boolean()
    .default(defaults.coldItems)
    .describe('Ask for items without training interactions too; else such questions are left out and counted.'),
  coldUsers: z.boolean().default(false).describe('Ask for users without training interactions too.'),
  relevantFrom: z.number().optional().describe('Least weight (rating) of what counts as right; above 0 by default.'),
});

const people = common({ excludesHistory: true, coldItems: true });
const sessions = common({ excludesHistory: false, coldItems: false });

const protocol = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('leave-last-out'),
    validation: z
      .enum(['none', 'next-to-last'])
      .default('none')
      .describe('next-to-last: kept back for early stopping.'),
    ...people,
  }),
  z.strictObject({ name: z.literal('per-user-temporal'), testShare: share(0.2), ...people }),
  z.strictObject({ name: z.literal('global-temporal'), testShare: share(0.2), ...people }),
  z.strictObject({ name: z.literal('random'), testShare: share(0.2), ...people }),
  z.strictObject({ name: z.literal('given'), ...people }),
  z.strictObject({ name: z.literal('session-prefixes'), testShare: share(0.1), ...sessions }),
  z.strictObject({ name: z.literal('prequential'), testShare: share(0.2), ...people }),
  z.strictObject({ name: z.literal('cold-items'), testShare: share(0.2), ...people }),
]);

export type Protocol = z.infer<typeof protocol>;
export type ProtocolName = Protocol['name'];

const file = z.strictObject({
  file: z.string().min(1).describe('Relative to the data folder.'),
  mapping: z.string().min(1),
});

const data = z.strictObject({
  file: z.string().min(1).describe('Interactions to learn from; relative to the data folder.'),
  mapping: z.string().min(1).describe('A mapping that comes with the engine, or a path.'),
  test: z.string().min(1).optional().describe('What was kept back: interactions under the same mapping.'),
  testFormat: z
    .enum(['mapping', 'prefix-target'])
    .default('mapping')
    .describe('prefix-target: each line is the items of a session so far, a tab, and the item that followed.'),
  rows: z.enum(['users', 'sessions']).optional().describe('sessions: by sessionId; the default of session protocols.'),
  limit: z.number().int().positive().optional().describe('Rows of the file to read at most.'),
  items: z.array(file).default([]).describe('Contents of items.'),
  users: z.array(file).default([]).describe('Traits of users.'),
  images: z.string().optional().describe('Folder of pictures named by item id.'),
});

const model = z.strictObject({
  algorithm: z.string().min(1),
  label: z.string().min(1).optional().describe('What the result calls it; the algorithm by default.'),
  settings: z.record(z.string(), z.unknown()).default({}),
});

export type ModelSpecification = z.infer<typeof model>;

/** `ndcg@10`; auc has no k. */
const metric = z.string().regex(/^(auc|[a-z0-9-]+@[1-9][0-9]{0,2})$/, 'expected a metric such as ndcg@10, or auc');

export const evaluationSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/),
  about: z.string().optional(),
  data,
  protocol,
  candidates: z
    .union([z.enum(['all', 'generated']), z.strictObject({ sampled: z.number().int().min(1).max(100_000) })])
    .default('all')
    .describe(
      'all: full ranking. generated: what the candidate generator finds, as in serving. ' +
        'sampled: n items drawn for each question, beside the right ones.',
    ),
  models: z.array(model).min(1).describe('The first is the one the row is about; others are compared with it.'),
  metrics: z.array(metric).default(['hr@10', 'ndcg@10', 'mrr@10', 'recall@20', 'ndcg@20']),
  bars: z.record(z.string(), z.number()).default({}).describe('What a metric should at least be; told, not enforced.'),
  best: metric.optional().describe('The row is about the best of the models by this metric, not the first.'),
  seed: z.union([z.string(), z.number()]).default(1),
  casesMax: z.number().int().positive().optional().describe('Questions at most, drawn; all by default.'),
  confidence: z.number().gt(0).lt(1).default(0.95).describe('Of the intervals.'),
  resamples: z.number().int().min(100).max(100_000).default(1_000).describe('Bootstrap samples.'),
  threads: z.number().int().min(1).max(64).default(2),
  memoryBytesMax: z
    .number()
    .int()
    .positive()
    .default(4 * 2 ** 30),
});

export type Evaluation = z.infer<typeof evaluationSchema>;

/** How the result names what was ranked. */
export function candidatesName({ candidates }: Pick<Evaluation, 'candidates'>): string {
  return typeof candidates === 'string' ? candidates : `sampled-${candidates.sampled}`;
}
