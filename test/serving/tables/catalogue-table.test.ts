import { describe, expect, it } from 'vitest';
import type { ItemCatalogueState } from '../../../schemas/records.js';
import { CatalogueTable } from '../../../serving/tables/catalogue-table.js';
import { ItemInterner } from '../../../serving/tables/item-interner.js';

const described = (itemId: string, fields: Partial<ItemCatalogueState> = {}): ItemCatalogueState => ({
  kind: 'ItemCatalogueState',
  itemId,
  version: 1,
  title: null,
  description: null,
  categories: [],
  brand: null,
  tags: [],
  price: null,
  currency: null,
  available: true,
  deleted: false,
  publishedAt: null,
  imageUrl: null,
  attributes: {},
  ...fields,
});

function tableOf(...records: ItemCatalogueState[]) {
  const items = new ItemInterner(100);
  const table = new CatalogueTable(items);
  for (const record of records) table.apply(items.intern(record.itemId), record);
  const named = (itemId: string) => {
    const entry = table.entryOf(items.indexOf(itemId));
    return entry && { ...entry, categories: entry.categories.map((category) => table.categoryName(category)) };
  };
  return { items, table, named };
}

describe('the catalogue of a serving node', () => {
  it('gives an entry back as it was described', () => {
    const shoe = {
      title: 'Läufer “Ärmel” 👟',
      brand: 'Nord, Süd',
      price: 79.95,
      currency: 'EUR',
      imageUrl: 'data:image/svg+xml,<svg>"quoted"</svg>',
      tags: ['run"ning', '', 'läufer'],
      categories: ['trail', 'shoes'],
    };
    const { named } = tableOf(described('shoe', shoe), described('bare'));
    expect(named('shoe')).toEqual(shoe);
    expect(named('bare')).toEqual({
      ...{ title: null, brand: null, price: null, currency: null, imageUrl: null },
      ...{ tags: [], categories: [] },
    });
    expect(named('unknown')).toBeUndefined();
  });

  it('keeps the categories of items with one leaf apart', () => {
    const { named, table, items } = tableOf(
      described('a', { categories: ['leaf', 'x'] }),
      described('b', { categories: ['leaf', 'y'] }),
      described('c', { categories: ['leaf', 'x'] }),
      described('d', { categories: ['leaf'] }),
    );
    expect(['a', 'b', 'c', 'd'].map((itemId) => named(itemId)!.categories)).toEqual([
      ['leaf', 'x'],
      ['leaf', 'y'],
      ['leaf', 'x'],
      ['leaf'],
    ]);
    table.apply(items.indexOf('a'), described('a', { categories: ['x'] }));
    expect(named('c')!.categories).toEqual(['leaf', 'x']);
    expect(table.categoryOf(items.indexOf('a'))).toBe(table.indexOfCategory('x'));
  });

  it('says nothing of an item before its entry, nor after it was deleted or withdrawn', () => {
    const { items, table, named } = tableOf(described('a', { title: 'A', categories: ['x'] }));
    const [late, first] = [items.intern('late'), items.indexOf('a')];
    expect([table.titleOf(late), table.categoriesOf(late), table.categoryOf(late)]).toEqual([undefined, [], -1]);
    expect(table.isServable(late)).toBe(true);
    table.apply(first, described('a', { deleted: true }));
    expect([named('a'), table.titleOf(first), table.categoriesOf(first)]).toEqual([undefined, undefined, []]);
    expect([table.isDeleted(first), table.isServable(first)]).toEqual([true, false]);
    table.apply(first, described('a', { title: 'again' }));
    expect(table.titleOf(first)).toBe('again');
    table.remove(first);
    expect([named('a'), table.isDeleted(first), table.isServable(first)]).toEqual([undefined, false, true]);
  });
});
