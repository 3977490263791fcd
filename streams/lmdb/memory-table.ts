/**
 * A table whose latest changes are in memory: what is put can be read at once, and reaches the file with the next
 * flush. A row that changes a hundred times between two flushes is written once.
 *
 *   get:  fresh (since the last flush) ─▶ flushing (in the transaction under way) ─▶ the file
 *
 * Keys are looked up as latin-1 text, which has the order of their bytes. Changes are kept apart by their keys' first byte,
 * which tells kinds of rows apart: a walk over one kind does not meet those of another.
 */
import { copyInto, type Memory } from '../../schemas/binary-writer.js';
import type { BlockMemory } from '../block-memory.js';
import { bufferOf } from './table.js';
import type { Participant, Table, TableEntry, TableRange } from './table.js';

interface Change {
  readonly key: Buffer;
  /** undefined: removed. */
  readonly value: Buffer | undefined;
}

/** Changes since a moment. */
class Changes {
  private readonly byKind = new Map<number, Map<string, Change>>();

  /** @param isCleared nothing from before the moment counts. */
  constructor(readonly isCleared = false) {}

  get isEmpty(): boolean {
    return this.byKind.size === 0;
  }

  get(kind: number, name: string): Change | undefined {
    return this.byKind.get(kind)?.get(name);
  }

  set(name: string, change: Change): void {
    const kind = change.key[0]!;
    let own = this.byKind.get(kind);
    if (own === undefined) {
      own = new Map();
      this.byKind.set(kind, own);
    }
    own.set(name, change);
  }

  /** Of keys that begin with `first` to `last`. */
  *within(first = 0, last = 255): Generator<readonly [name: string, change: Change]> {
    for (const [kind, own] of this.byKind) if (kind >= first && kind <= last) yield* own;
  }
}

export class MemoryTable implements Table, Participant {
  private fresh = new Changes();
  private flushing: Changes | undefined;

  /**
   * @param copies where values are put that were copied; a table's own values are released there, which does nothing to others.
   * @param onChanged called with every change: the table has to take part in the next flush.
   */
  constructor(
    private readonly stored: Table,
    private readonly copies: BlockMemory,
    private readonly onChanged: (table: MemoryTable) => void,
  ) {}

  get(key: Buffer, memory: Memory = Buffer): Buffer | undefined {
    const name = key.toString('latin1');
    const kind = key[0]!;
    const { fresh, flushing } = this;
    let change = fresh.get(kind, name);
    if (change === undefined && !fresh.isCleared) {
      change = flushing?.get(kind, name);
      if (change === undefined && flushing?.isCleared !== true) return this.stored.get(key, memory);
    }
    const value = change?.value;
    return value === undefined ? undefined : copyInto(memory, value);
  }

  *range(bounds: TableRange): Generator<TableEntry> {
    const { limit = Infinity, reverse = false } = bounds;
    const changes = this.changesWithin(bounds);
    const isCleared = this.fresh.isCleared || this.flushing?.isCleared === true;
    if (changes.length === 0 && !isCleared) {
      yield* this.stored.range(bounds);
      return;
    }
    let count = 0;
    for (const entry of merged(changes, isCleared ? [] : this.stored.range(unlimited(bounds)), reverse)) {
      if (count++ >= limit) return;
      yield entry;
    }
  }

  put(key: Buffer, value: Uint8Array): void {
    this.change({ key, value: bufferOf(value) });
  }

  /** As `put`, of a value that may change afterwards. */
  putCopy(key: Buffer, value: Uint8Array): void {
    this.change({ key, value: copyInto(this.copies, value) });
  }

  remove(key: Buffer): void {
    this.change({ key, value: undefined });
  }

  clear(): void {
    this.release(this.fresh);
    this.fresh = new Changes(true);
    this.onChanged(this);
  }

  private change(change: Change): void {
    const name = change.key.toString('latin1');
    this.releaseOne(this.fresh.get(change.key[0]!, name));
    this.fresh.set(name, change);
    this.onChanged(this);
  }

  private lasting(change: Change): Change {
    const { key, value } = change;
    return value !== undefined && this.copies.owns(value) ? { key, value: Buffer.from(value) } : change;
  }

  /** Nobody else has these values: whoever asked for one got a copy. */
  private release(changes: Changes | undefined): void {
    for (const [, change] of changes?.within() ?? []) this.releaseOne(change);
  }

  private releaseOne(change: Change | undefined): void {
    if (change?.value !== undefined) this.copies.release(change.value);
  }

  flush(): void {
    const { fresh } = this;
    this.flushing = fresh;
    this.fresh = new Changes();
    if (fresh.isCleared) this.stored.clear();
    // Neighbours in the tree one after another.
    for (const [, { key, value }] of [...fresh.within()].sort(([left], [right]) => (left < right ? -1 : 1))) {
      if (value === undefined) this.stored.remove(key);
      else this.stored.put(key, value);
    }
  }

  flushed(): void {
    this.release(this.flushing);
    this.flushing = undefined;
  }

  flushFailed(): void {
    const { flushing, fresh } = this;
    this.flushing = undefined;
    if (flushing === undefined) return;
    if (fresh.isCleared) return this.release(flushing);
    for (const [name, change] of fresh.within()) {
      this.releaseOne(flushing.get(change.key[0]!, name));
      flushing.set(name, change);
    }
    this.fresh = flushing;
  }

  /** Of both generations, in the order of the walk. They stay as they are: who walks may rest while there are flushes. */
  private changesWithin({ from, to, reverse = false, limit = Infinity }: TableRange): Change[] {
    const { flushing, fresh } = this;
    if (fresh.isEmpty && flushing?.isEmpty !== false) return [];
    const [start, end] = [from?.toString('latin1'), to?.toString('latin1')];
    const isWithin = reverse
      ? (name: string) => (start === undefined || name <= start) && (end === undefined || name > end)
      : (name: string) => (start === undefined || name >= start) && (end === undefined || name < end);
    const [low, high] = reverse ? [to, from] : [from, to];
    const found = new Map<string, Change>();
    for (const changes of fresh.isCleared ? [fresh] : [flushing, fresh]) {
      for (const [name, change] of changes?.within(low?.[0], high?.[0]) ?? [])
        if (isWithin(name)) found.set(name, change);
    }
    const sign = reverse ? -1 : 1;
    const sorted = [...found].sort(([left], [right]) => (left < right ? -sign : sign));
    // A walk comes to no more values than its limit.
    let left = limit;
    return sorted.map(([, change]) => (change.value === undefined || left-- <= 0 ? change : this.lasting(change)));
  }
}

function unlimited(bounds: TableRange): TableRange {
  const { limit: _limit, ...rest } = bounds;
  return rest;
}

/** Walks both in step; a change stands for the stored entry of its key. */
function* merged(changes: readonly Change[], stored: Iterable<TableEntry>, reverse: boolean): Generator<TableEntry> {
  let next = 0;
  for (const entry of stored) {
    let isReplaced = false;
    for (; next < changes.length; next++) {
      const { key, value } = changes[next]!;
      const order = key.compare(entry.key);
      if (reverse ? order < 0 : order > 0) break;
      if (value !== undefined) yield { key, value: Buffer.from(value) };
      isReplaced ||= order === 0;
    }
    if (!isReplaced) yield entry;
  }
  for (; next < changes.length; next++) {
    const { key, value } = changes[next]!;
    if (value !== undefined) yield { key, value: Buffer.from(value) };
  }
}
