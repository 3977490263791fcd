/**
 * A mapping file: how the rows of somebody's export become our records, without a line of code.
 *
 * It names the format, the columns behind each field, how times are written, which event type a word means, and
 * constants for what the file does not say. One file per data set, YAML; the schema here is its reference.
 */
import { readFileSync } from 'node:fs';
import { EngineError } from '../../schemas/errors.js';
import { INTERACTION_TYPES } from '../../schemas/records.js';
import { z } from '../../streams/config.js';
import { parseYaml } from '../../streams/yaml.js';

const column = z.string().min(1).describe('Name of a column.');

const text = z
  .union([
    column,
    z.strictObject({
      column: column.optional(),
      constant: z.string().optional(),
      prefix: z.string().optional().describe('Put in front of the value.'),
      row: z.literal(true).optional().describe('Take the row number, from 1.'),
    }),
  ])
  .describe('A text field: a column, a constant, or the row number.');

const list = z
  .union([
    column,
    z.strictObject({
      column,
      split: z.string().min(1).describe('Separator between entries.'),
      reverse: z.boolean().default(false).describe('The file has the most general entry first; we want it last.'),
    }),
  ])
  .describe('A list field; a plain column is a list of one.');

const time = z.strictObject({
  column: column.optional(),
  unit: z
    .enum(['ms', 's', 'us', 'iso'])
    .default('ms')
    .describe('iso: any ISO 8601 form, also "2019-10-01 00:00:00 UTC".'),
  start: z.string().optional().describe('Without a column: time of the first row, ISO 8601.'),
  stepMs: z.number().int().positive().default(1_000).describe('Without a column: time between rows, ms.'),
});

const type = z.union([
  z.strictObject({ constant: z.enum(INTERACTION_TYPES) }),
  z.strictObject({
    column,
    values: z.record(z.string(), z.enum(INTERACTION_TYPES)).describe('Word in the file to event type.'),
  }),
]);

const interaction = z.strictObject({
  userId: text,
  itemId: text,
  ts: time,
  type,
  eventId: text.optional().describe('Made from file hash and row number when absent.'),
  sessionId: text.optional(),
  value: column.optional().describe('Price paid or rating given.'),
  currency: text.optional(),
  quantity: column.optional(),
  dwellMs: column.optional(),
  context: z
    .strictObject({
      device: text.optional(),
      os: text.optional(),
      country: text.optional(),
      region: text.optional(),
      referrer: text.optional(),
      language: text.optional(),
    })
    .optional(),
});

const item = z.strictObject({
  itemId: text,
  ts: time.optional(),
  title: text.optional(),
  description: text.optional(),
  categories: list.optional(),
  brand: text.optional(),
  tags: list.optional(),
  price: column.optional(),
  currency: text.optional(),
  numbers: z.record(z.string(), column).default({}).describe('More numbers to train on, such as year; not imported.'),
});

const user = z.strictObject({
  userId: text,
  ts: time.optional(),
  segments: z.array(text).default([]),
  traits: z.record(z.string(), column).default({}),
});

export const mappingSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]*$/),
    about: z.string().optional(),
    format: z
      .enum(['csv', 'tsv', 'jsonl', 'sequences', 'json'])
      .describe(
        'sequences: a line is a list of items, in order; columns are user, item and position. json: one object; columns are key and value.',
      ),
    userFirst: z.boolean().default(true).describe('sequences: the first token of a line is the user; else its number.'),
    columns: z.array(z.string()).optional().describe('Column names, for files without a header line.'),
    interaction: interaction.optional(),
    item: item.optional().describe('An item is sent when first met, and again when a field changed.'),
    user: user.optional(),
    impression: z
      .strictObject({
        userId: text,
        itemId: text,
        ts: time,
        requestId: text,
        placement: text,
        position: column,
        positionFrom: z.number().int().default(0).describe('What the file calls the first position.'),
        propensity: column.optional(),
        eligibleCount: z.number().int().positive().optional(),
        feedback: z
          .strictObject({ column, type: z.enum(INTERACTION_TYPES).default('click') })
          .optional()
          .describe('A non-zero value also makes an interaction that answers the impression.'),
        segments: z.array(text).default([]),
      })
      .optional()
      .describe('Each row is one viewed place of a slate.'),
  })
  .refine((mapping) => mapping.interaction ?? mapping.item ?? mapping.user ?? mapping.impression, {
    message: 'expected at least one of interaction, item, user, impression',
  });

export type Mapping = z.infer<typeof mappingSchema>;
export type TextField = z.infer<typeof text>;
export type ListField = z.infer<typeof list>;
export type TimeField = z.infer<typeof time>;

/** Reads and checks a mapping file; throws MAPPING_INVALID with every fault. */
export function readMapping(path: string): Mapping {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new EngineError('MAPPING_INVALID', `Cannot read mapping file '${path}'.`, { cause });
  }
  const parsed = mappingSchema.safeParse(parseYaml(source, path, 'MAPPING_INVALID'));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`);
  throw new EngineError(
    'MAPPING_INVALID',
    `Mapping file '${path}' has ${faults.length} fault(s): ${faults.join('; ')}.`,
  );
}

/** Columns a mapping reads, to be checked against a file's header. */
export function columnsOf(mapping: Mapping): readonly string[] {
  const found = new Set<string>();
  const visit = (value: unknown, key: string): void => {
    if (typeof value === 'string') {
      if (!NOT_COLUMNS.has(key)) found.add(value);
    } else if (Array.isArray(value)) {
      for (const entry of value) visit(entry, key);
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, entry] of Object.entries(value)) if (name !== 'values') visit(entry, name);
    }
  };
  for (const part of [mapping.interaction, mapping.item, mapping.user, mapping.impression]) visit(part, '');
  return [...found];
}

/** Keys whose text is not a column name. */
const NOT_COLUMNS = new Set(['constant', 'prefix', 'unit', 'start', 'split', 'type']);
