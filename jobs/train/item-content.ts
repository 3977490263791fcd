/**
 * What is known of items and users, from files through mappings, by index of a training set.
 *
 * Several files may speak of the same item: a later one fills in or replaces what it says something about. Items that
 * nobody met yet are added to the index: they can be recommended by what they are.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { ItemContent, UserTraits } from '../../serving/models/training-set.js';
import { FieldReader } from '../import/field-reader.js';
import { readMapping } from '../import/mapping.js';
import { openRows } from '../import/rows.js';
import type { Row } from '../import/rows.js';
import type { IdIndex } from './interaction-table.js';

export interface ContentFile {
  readonly path: string;
  /** Path of the mapping. */
  readonly mapping: string;
}

interface ItemDraft {
  title: string;
  text: string;
  categories: readonly string[];
  brand: string;
  tags: readonly string[];
  numbers: Record<string, number>;
}

/** Undefined when there are neither files nor pictures. `items` gets the ids it did not have. */
export async function readItemContent(
  files: readonly ContentFile[],
  images: string | undefined,
  items: IdIndex,
): Promise<ItemContent | undefined> {
  if (files.length === 0 && images === undefined) return undefined;
  const drafts: ItemDraft[] = [];
  for (const file of files) await readItems(file, items, drafts);
  const by = <V>(read: (draft: ItemDraft) => V): V[] => items.ids.map((_, item) => read(drafts[item] ?? EMPTY));
  const names = new Set(drafts.flatMap((draft) => Object.keys(draft?.numbers ?? {})));
  const numbers = [...names].map(
    (name) => [name, Float64Array.from(by((draft) => draft.numbers[name] ?? NaN))] as const,
  );
  return {
    titles: by((draft) => draft.title),
    texts: by((draft) => draft.text),
    categories: by((draft) => draft.categories),
    brands: by((draft) => draft.brand),
    tags: by((draft) => draft.tags),
    numbers: Object.fromEntries(numbers),
    image: images === undefined ? undefined : (item) => readImage(images, items.ids[item]!),
  };
}

const EMPTY: ItemDraft = { title: '', text: '', categories: [], brand: '', tags: [], numbers: {} };

async function readItems(file: ContentFile, items: IdIndex, drafts: ItemDraft[]): Promise<void> {
  const mapping = readMapping(file.mapping);
  if (mapping.item === undefined) throw missingPart(file, 'item');
  const { columns, rows } = await openRows(file.path, mapping);
  const fields = new FieldReader(columns);
  const itemId = fields.required(mapping.item.itemId, 'itemId');
  const title = fields.optionalText(mapping.item.title);
  const text = fields.optionalText(mapping.item.description);
  const brand = fields.optionalText(mapping.item.brand);
  const categories = fields.list(mapping.item.categories);
  const tags = fields.list(mapping.item.tags);
  const numberColumns = { ...mapping.item.numbers, ...(mapping.item.price && { price: mapping.item.price }) };
  const numbers = Object.entries(numberColumns).map(([name, column]) => [name, fields.optionalNumber(column)] as const);
  await eachRow(file, rows, (row) => {
    const draft = (drafts[items.add(itemId(row))] ??= { ...EMPTY, numbers: {} });
    draft.title = title(row) ?? draft.title;
    draft.text = text(row) ?? draft.text;
    draft.brand = brand(row) ?? draft.brand;
    draft.categories = orElse(categories(row), draft.categories);
    // One tag a row is how people's tags come: they add up.
    draft.tags = [...new Set([...draft.tags, ...tags(row)])];
    for (const [name, read] of numbers) {
      const value = read(row);
      if (value !== null) draft.numbers[name] = value;
    }
  });
}

function orElse(list: readonly string[], otherwise: readonly string[]): readonly string[] {
  return list.length > 0 ? list : otherwise;
}

/** Undefined without files. Users nobody heard of are left out: traits alone are nobody's history. */
export async function readUserTraits(files: readonly ContentFile[], users: IdIndex): Promise<UserTraits | undefined> {
  if (files.length === 0) return undefined;
  const traits: Record<string, string[]> = {};
  for (const file of files) {
    const mapping = readMapping(file.mapping);
    if (mapping.user === undefined) throw missingPart(file, 'user');
    const { columns, rows } = await openRows(file.path, mapping);
    const fields = new FieldReader(columns);
    const userId = fields.required(mapping.user.userId, 'userId');
    const readers = Object.entries(mapping.user.traits).map(([name, column]) => [name, fields.text(column)] as const);
    for (const [name] of readers) traits[name] ??= users.ids.map(() => '');
    await eachRow(file, rows, (row) => {
      const user = users.indexOf(userId(row));
      if (user < 0) return;
      for (const [name, read] of readers) traits[name]![user] = read(row) ?? '';
    });
  }
  return traits;
}

/** Rows that do not fit are passed over: what is known of the others is still known. */
async function eachRow(file: ContentFile, rows: AsyncIterable<Row>, take: (row: Row) => void): Promise<void> {
  let count = 0;
  let taken = 0;
  for await (const row of rows) {
    count++;
    if (row.fault !== undefined) continue;
    try {
      take(row);
      taken++;
    } catch (error) {
      if (!isEngineError(error, 'ROW_INVALID')) throw error;
    }
  }
  if (taken * 2 >= count) return;
  throw new EngineError(
    'ROW_INVALID',
    `${count - taken} of ${count} rows of '${file.path}' do not fit the mapping '${file.mapping}'.`,
  );
}

function missingPart({ mapping, path }: ContentFile, part: string): EngineError {
  return new EngineError('MAPPING_INVALID', `Mapping '${mapping}' has no '${part}' part, which '${path}' is read for.`);
}

const IMAGE_ENDINGS = ['jpg', 'jpeg', 'png', 'webp'];
/** Ids that are no plain file name are nobody's picture: they must not lead out of the folder. */
const FILE_NAME = /^[\w.-]+$/;

async function readImage(folder: string, itemId: string): Promise<Uint8Array | undefined> {
  if (!FILE_NAME.test(itemId) || itemId.startsWith('.')) return undefined;
  for (const ending of IMAGE_ENDINGS) {
    try {
      return await readFile(join(folder, `${itemId}.${ending}`));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return undefined;
}
