/**
 * One row out of several that hold state of the same key, or of the same partition: where two have a cell of one operator,
 * that operator's `merge` folds the later one into the earlier one.
 *
 * Nothing runs meanwhile that could take what an operator sends, so a merge may set and clear timers and nothing else.
 */
import { EngineError, invariant } from '../../schemas/errors.js';
import { hash32 } from '../../schemas/ids.js';
import type { AnyOperator, Cell, Context, ExportedCell } from '../runtime/operator.js';
import { decodeCell, encodeRow, forEachCell, rowVersion } from '../runtime/row-bytes.js';
import type { StoredCell } from '../runtime/row-bytes.js';
import type { AnyStage } from '../runtime/topology.js';
import type { TimerEntry } from '../state/state-store.js';

export interface MergePlace {
  readonly stage: AnyStage;
  readonly key: string;
  readonly partition: number;
  /** Event time of the task that the row goes to. */
  readonly streamTime: number;
  /** Its next input offset. */
  readonly offset: number;
}

export interface MergedRow {
  /** undefined when no operator left anything. */
  readonly row: Buffer | undefined;
  readonly timersAdded: readonly TimerEntry[];
  readonly timersRemoved: readonly TimerEntry[];
}

/** At least two rows. Throws TOPOLOGY_INVALID where cells meet that nobody can merge, STATE_VERSION_UNKNOWN. */
export function mergeRows(rows: readonly Buffer[], place: MergePlace): MergedRow {
  const byHash = new Map<number, StoredCell[]>();
  for (const row of rows) {
    forEachCell(row, (hash, version, bytes) => {
      const known = byHash.get(hash);
      if (known === undefined) byHash.set(hash, [{ hash, version, bytes }]);
      else known.push({ hash, version, bytes });
    });
  }
  const operators = new Map(place.stage.operators.map((operator) => [hash32(operator.name) >>> 0, operator]));
  const timersAdded: TimerEntry[] = [];
  const timersRemoved: TimerEntry[] = [];
  const cells: StoredCell[] = [];
  for (const [hash, stored] of [...byHash].sort(([left], [right]) => left - right)) {
    const [only, ...others] = stored as [StoredCell, ...StoredCell[]];
    if (others.length === 0) {
      cells.push(only);
      continue;
    }
    const operator = requireMergeable(operators.get(hash), place);
    const context = new MergeContext(place, operator.name, timersAdded, timersRemoved);
    const cell = new MergeCell(stateOf(operator, only, place));
    for (const other of others) operator.merge(cell, stateOf(operator, other, place), context);
    const state = cell.get();
    if (state === undefined) continue;
    cells.push({ hash, version: operator.state.version, bytes: operator.state.encode(state) });
  }
  const version = Math.max(...rows.map(rowVersion));
  return { row: cells.length === 0 ? undefined : encodeRow(version, cells), timersAdded, timersRemoved };
}

type MergingOperator = AnyOperator<unknown> & Required<Pick<AnyOperator<unknown>, 'merge'>>;

function requireMergeable(operator: AnyOperator<unknown> | undefined, { stage, key }: MergePlace): MergingOperator {
  if (operator?.merge !== undefined) return operator as MergingOperator;
  const of = operator === undefined ? 'an operator that is not in the stage any more' : `operator '${operator.name}'`;
  throw new EngineError(
    'TOPOLOGY_INVALID',
    `Several partitions of stage '${stage.name}' hold state of ${of} under ${JSON.stringify(key)}, and it has no merge. Give it one.`,
    { context: { stage: stage.name, key } },
  );
}

function stateOf(operator: AnyOperator<unknown>, { bytes, version }: StoredCell, { key }: MergePlace): unknown {
  return decodeCell(operator, Buffer.from(bytes), version, key);
}

class MergeCell implements Cell<unknown> {
  constructor(private state: unknown) {}

  get(): unknown {
    return this.state;
  }

  getOr(initial: () => unknown): unknown {
    return (this.state ??= initial());
  }

  set(state: unknown): void {
    this.state = state;
  }

  changed(): void {
    // It is encoded in any case.
  }

  remove(): void {
    this.state = undefined;
  }
}

class MergeContext implements Context {
  readonly key: string;
  readonly time: number;
  readonly streamTime: number;
  readonly offset: number;
  readonly partition: number;

  constructor(
    { key, streamTime, offset, partition }: MergePlace,
    private readonly operator: string,
    private readonly added: TimerEntry[],
    private readonly removed: TimerEntry[],
  ) {
    this.key = key;
    this.time = this.streamTime = streamTime;
    this.offset = offset;
    this.partition = partition;
  }

  setTimer(time: number): void {
    this.added.push({ time, operator: this.operator, key: this.key });
  }

  clearTimer(time: number): void {
    this.removed.push({ time, operator: this.operator, key: this.key });
  }

  emit(): void {
    this.refuse('emit');
  }

  emitRecord(): void {
    this.refuse('emit');
  }

  publish(): void {
    this.refuse('publish');
  }

  publishLater(): void {
    this.refuse('publish');
  }

  hint(): void {
    // Whoever follows the key reads it anew after a repartition.
  }

  stop(): void {
    this.refuse('stop');
  }

  peek(): undefined {
    this.refuse('peek');
  }

  exportCells(): readonly ExportedCell[] {
    return this.refuse('export cells');
  }

  importCells(): void {
    this.refuse('import cells');
  }

  removeCells(): void {
    this.refuse('remove cells');
  }

  private refuse(what: string): never {
    invariant(false, `operator '${this.operator}' tried to ${what} while partitions were merged`, { key: this.key });
  }
}
