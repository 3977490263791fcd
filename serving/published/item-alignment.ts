/**
 * Between a model's item indexes and those of the node's tables, both ways.
 *
 * Made once when the model is loaded; items that the tables get to know later are found when they are met. A model item
 * the tables never heard of is nothing that could be shown.
 */
import type { ItemInterner } from '../tables/item-interner.js';

export class ItemAlignment {
  /** By model item; −1 for what the tables do not know (yet). */
  private readonly tableItems: Int32Array;
  /** By table item; −1 for what the model does not know. */
  private readonly modelItems: Int32Array;
  /** Model items that the tables did not know when this was made. */
  private readonly later = new Map<string, number>();

  constructor(
    private readonly itemIds: readonly string[],
    private readonly tables: ItemInterner,
  ) {
    this.tableItems = Int32Array.from(itemIds, (itemId) => tables.indexOf(itemId));
    this.modelItems = new Int32Array(tables.count).fill(-1);
    this.tableItems.forEach((tableItem, modelItem) => {
      if (tableItem >= 0) this.modelItems[tableItem] = modelItem;
      else this.later.set(itemIds[modelItem]!, modelItem);
    });
  }

  /** The model's index, or −1. */
  modelItemOf(itemId: string): number {
    const tableItem = this.tables.indexOf(itemId);
    const known = tableItem < 0 ? -1 : this.modelItemAt(tableItem);
    return known >= 0 ? known : (this.later.get(itemId) ?? -1);
  }

  /** As above for an item of the tables. */
  modelItemAt(tableItem: number): number {
    const known = tableItem < this.modelItems.length ? this.modelItems[tableItem]! : -1;
    return known >= 0 || this.later.size === 0 ? known : (this.later.get(this.tables.idOf(tableItem)) ?? -1);
  }

  /** The tables' index, or −1. */
  tableItemOf(modelItem: number): number {
    const known = this.tableItems[modelItem]!;
    return known >= 0 ? known : (this.tableItems[modelItem] = this.tables.indexOf(this.itemIds[modelItem]!));
  }
}
