/**
 * Co-visited neighbours of each item on the serving node: fixed-width rows in one slab, rows reused when freed.
 *
 * Weights are kept as shares of the item's total: about P(other | item), which needs no clock, since both decay alike.
 */
import type { ItemNeighboursState } from '../../schemas/records.js';
import type { ItemInterner } from './item-interner.js';
import { grown } from '../../streams/typed-growth.js';

const NO_ROW = -1;

export class NeighbourTable {
  /** Row of each item, or −1. */
  private rows = new Int32Array(1024).fill(NO_ROW);
  private readonly freeRows: number[] = [];
  private rowCount = 0;
  private counts = new Uint16Array(256);
  /** Decayed sum of all pairs at the time of publication: how much the shares rest on. */
  private totals = new Float32Array(256);
  /** Row r's neighbours start at r × width, strongest first. */
  items = new Int32Array(0);
  shares = new Float32Array(0);

  constructor(
    private readonly interner: ItemInterner,
    readonly width = 32,
  ) {}

  apply(item: number, record: ItemNeighboursState): void {
    this.rows = grown(this.rows, item + 1, NO_ROW);
    let row = this.rows[item]!;
    if (row === NO_ROW) row = this.rows[item] = this.createRow();
    const start = row * this.width;
    const inverse = record.total > 0 ? 1 / record.total : 0;
    let count = 0;
    for (let i = 0; i < record.neighbours.length && count < this.width; i++) {
      const neighbour = record.neighbours[i]!;
      const other = this.indexOf(neighbour.itemId, start + count);
      if (other < 0) continue;
      this.items[start + count] = other;
      this.shares[start + count] = neighbour.weight * inverse;
      count++;
    }
    this.counts[row] = count;
    this.totals[row] = record.total;
  }

  remove(item: number): void {
    const row = this.rowOf(item);
    if (row === NO_ROW) return;
    this.rows[item] = NO_ROW;
    this.counts[row] = 0;
    this.freeRows.push(row);
  }

  /** Number of neighbours; they stand at `startOf(item)` in `items` and `shares`. */
  countOf(item: number): number {
    const row = this.rowOf(item);
    return row === NO_ROW ? 0 : this.counts[row]!;
  }

  startOf(item: number): number {
    return this.rowOf(item) * this.width;
  }

  totalOf(item: number): number {
    const row = this.rowOf(item);
    return row === NO_ROW ? 0 : this.totals[row]!;
  }

  get bytes(): number {
    return (
      this.items.byteLength +
      this.shares.byteLength +
      this.rows.byteLength +
      this.counts.byteLength +
      this.totals.byteLength
    );
  }

  /** Mostly the item that stands at the place already: comparing two ids costs a fraction of looking one up. */
  private indexOf(itemId: string, place: number): number {
    const before = this.items[place]!;
    return this.interner.idOf(before) === itemId ? before : this.interner.intern(itemId);
  }

  private rowOf(item: number): number {
    return item >= 0 && item < this.rows.length ? this.rows[item]! : NO_ROW;
  }

  private createRow(): number {
    const free = this.freeRows.pop();
    if (free !== undefined) return free;
    const row = this.rowCount++;
    this.counts = grown(this.counts, row + 1);
    this.totals = grown(this.totals, row + 1);
    this.items = grown(this.items, (row + 1) * this.width);
    this.shares = grown(this.shares, (row + 1) * this.width);
    return row;
  }
}
