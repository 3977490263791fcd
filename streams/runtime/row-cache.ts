/**
 * Bounded cache of live rows, owned by one task and valid for one commitId.
 *
 * Two generations instead of a linked list: rows used since the last turn are young, the others old; when the young
 * half is full the old one is dropped. Rows touched by the running batch are always young, so the cache may exceed its
 * bound by one batch and never evicts what a commit still needs.
 */
import { BlockMemory } from '../block-memory.js';
import type { Row } from './row.js';

const MEMORY_BYTES_MAX = 64 * 1_048_576;
/** Where the stored forms of rows lie, of all caches of the thread: sizes that one needs no more another does. */
const memory = new BlockMemory(MEMORY_BYTES_MAX);

export class RowCache {
  private young = new Map<string, Row>();
  private old = new Map<string, Row>();
  private youngBytes = 0;
  readonly memory = memory;

  /** `bytesMax` bounds the approximate memory of both generations together. */
  constructor(private readonly bytesMax: number) {}

  get(key: string): Row | undefined {
    const row = this.young.get(key);
    if (row !== undefined) return row;
    const revived = this.old.get(key);
    if (revived === undefined) return undefined;
    this.old.delete(key);
    this.add(revived);
    return revived;
  }

  add(row: Row): void {
    this.young.set(row.key, row);
    this.youngBytes += row.weight;
  }

  /** Called between batches: drops the old generation once the young one fills its half. */
  turn(): void {
    if (this.youngBytes * 2 <= this.bytesMax) return;
    for (const row of this.old.values()) row.release(memory);
    this.old = this.young;
    this.young = new Map();
    this.youngBytes = 0;
  }

  /** No store may be reading the rows: after a commit in doubt `memory` must have forgotten them. */
  clear(): void {
    for (const rows of [this.young, this.old]) for (const row of rows.values()) row.release(memory);
    this.young = new Map();
    this.old = new Map();
    this.youngBytes = 0;
  }

  get size(): number {
    return this.young.size + this.old.size;
  }
}
