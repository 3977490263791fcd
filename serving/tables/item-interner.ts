/**
 * Item ids as small integers: every table of the serving node is indexed by them.
 *
 * An index is never given to another item while the node runs, because neighbour lists and sessions may still name
 * the old one; memory is bounded by `itemsMax` instead (further new items are refused and counted). The hash of the
 * id breaks ties between equal scores, so rankings do not depend on the order in which items became known.
 */
import { hash32 } from '../../schemas/ids.js';
import { grown } from '../../streams/typed-growth.js';

/** Answer for an item that is not known, or cannot be because the interner is full. */
export const NO_ITEM = -1;

export class ItemInterner {
  private readonly indexes = new Map<string, number>();
  private readonly ids: string[] = [];
  private hashes = new Uint32Array(1024);
  private refusedCount = 0;

  constructor(readonly itemsMax: number) {}

  get count(): number {
    return this.ids.length;
  }

  /** New items refused because of the bound. */
  get refused(): number {
    return this.refusedCount;
  }

  indexOf(itemId: string): number {
    return this.indexes.get(itemId) ?? NO_ITEM;
  }

  intern(itemId: string): number {
    const known = this.indexes.get(itemId);
    if (known !== undefined) return known;
    if (this.ids.length >= this.itemsMax) {
      this.refusedCount++;
      return NO_ITEM;
    }
    const index = this.ids.length;
    this.ids.push(itemId);
    this.indexes.set(itemId, index);
    this.hashes = grown(this.hashes, index + 1);
    this.hashes[index] = hash32(itemId);
    return index;
  }

  idOf(index: number): string {
    return this.ids[index]!;
  }

  hashOf(index: number): number {
    return this.hashes[index]!;
  }

  /** Whether `left` ranks before `right` where their scores are equal. */
  precedes(left: number, right: number): boolean {
    const a = this.hashes[left]!;
    const b = this.hashes[right]!;
    return a < b || (a === b && this.ids[left]! < this.ids[right]!);
  }
}
