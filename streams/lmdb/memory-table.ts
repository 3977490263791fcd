/**
 * A table whose latest changes are in memory: what is put can be read at once, and reaches the file with the next
 * flush. A row that changes a hundred times between two flushes is written once.
 *
 *   get:  fresh (since the last flush) ─▶ flushing (in the transaction under way) ─▶ the file
 *
 * Keys are looked up as latin-1 text, which has the order of their bytes.
 */
import { bufferOf } from './table.js';
import type { Participant, Table, TableEntry, TableRange } from './table.js';

interface Change {
  readonly key: Buffer;
  /** undefined: removed. */
  readonly value: Buffer | undefined;
}

/** Changes since a moment; `isCleared`: nothing from before it counts. */
interface Changes {
  readonly byKey: Map<string, Change>;
  isCleared: boolean;
}

export class MemoryTable implements Table, Participant {
  private fresh = noChanges();
  private flushing: Changes | undefined;

  /** @param onChanged called with every change: the table has to take part in the next flush. */
  constructor(
    private readonly stored: Table,
    private readonly onChanged: (table: MemoryTable) => void,
  ) {}

  get(key: Buffer): Buffer | undefined {
    const name = key.toString('latin1');
    for (const changes of [this.fresh, this.flushing]) {
      const change = changes?.byKey.get(name);
      if (change !== undefined) return change.value === undefined ? undefined : Buffer.from(change.value);
      if (changes?.isCleared === true) return undefined;
    }
    return this.stored.get(key);
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

  remove(key: Buffer): void {
    this.change({ key, value: undefined });
  }

  clear(): void {
    this.fresh = { byKey: new Map(), isCleared: true };
    this.onChanged(this);
  }

  private change(change: Change): void {
    this.fresh.byKey.set(change.key.toString('latin1'), change);
    this.onChanged(this);
  }

  flush(): void {
    const { byKey, isCleared } = this.fresh;
    this.flushing = this.fresh;
    this.fresh = noChanges();
    if (isCleared) this.stored.clear();
    // Neighbours in the tree one after another.
    for (const [, { key, value }] of [...byKey].sort(([left], [right]) => (left < right ? -1 : 1))) {
      if (value === undefined) this.stored.remove(key);
      else this.stored.put(key, value);
    }
  }

  flushed(): void {
    this.flushing = undefined;
  }

  flushFailed(): void {
    const { flushing, fresh } = this;
    this.flushing = undefined;
    if (flushing === undefined || fresh.isCleared) return;
    for (const [name, change] of fresh.byKey) flushing.byKey.set(name, change);
    this.fresh = flushing;
  }

  /** Of both generations, in the order of the walk. */
  private changesWithin({ from, to, reverse = false }: TableRange): Change[] {
    const { flushing, fresh } = this;
    if (fresh.byKey.size === 0 && (flushing === undefined || flushing.byKey.size === 0)) return [];
    const [start, end] = [from?.toString('latin1'), to?.toString('latin1')];
    const isWithin = reverse
      ? (name: string) => (start === undefined || name <= start) && (end === undefined || name > end)
      : (name: string) => (start === undefined || name >= start) && (end === undefined || name < end);
    const found = new Map<string, Change>();
    for (const changes of fresh.isCleared ? [fresh] : [flushing, fresh]) {
      for (const [name, change] of changes?.byKey ?? []) if (isWithin(name)) found.set(name, change);
    }
    const sign = reverse ? -1 : 1;
    return [...found].sort(([left], [right]) => (left < right ? -sign : sign)).map(([, change]) => change);
  }
}

function noChanges(): Changes {
  return { byKey: new Map(), isCleared: false };
}

function unlimited({ from, to, reverse = false }: TableRange): TableRange {
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), reverse };
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
