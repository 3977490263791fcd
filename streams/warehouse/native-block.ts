/**
 * Rows as one block of ClickHouse's Native format: column by column, with the types of the table.
 *
 *     rows + columns of the table ──▶ names of the columns that some row has, and their bytes
 *
 * A server reads such a block at a third of what the same rows cost as JSON, and so it is encoded. What is not plainly of a
 * column's type (text for a number, null where none is allowed, a column that is not there) is not judged here: there is no
 * block then, and the caller sends JSON, which the server judges row by row.
 *
 * Invariant: a block stores what the same rows as JSONEachRow would store.
 */
import { ByteWriter } from './byte-writer.js';
import { columnCodec, type ColumnCodec, Misfit } from './native-column.js';
import type { WarehouseRow, WarehouseValue } from './warehouse.js';

export interface TableColumn {
  readonly name: string;
  /** As the server writes it, such as `LowCardinality(String)`. */
  readonly type: string;
  /** A row without a value gets what an expression gives, which only the server can compute. */
  readonly hasDefault: boolean;
}

export interface NativeBlock {
  readonly columns: readonly string[];
  readonly bytes: Buffer;
}

interface Column extends TableColumn {
  /** undefined: a type that is not written here. */
  readonly codec: ColumnCodec | undefined;
}

/** Values written between two turns of the event loop: about a millisecond. */
const VALUES_A_TURN = 8_000;
/** Bytes a row that a buffer starts with: most blocks then need no second one. */
const BYTES_A_ROW = 256;

/** Belongs to a table as it is: columns that change need a new one. */
export class NativeBlockEncoder {
  private readonly columns: ReadonlyMap<string, Column>;

  constructor(columns: readonly TableColumn[]) {
    this.columns = new Map(columns.map((column) => [column.name, { ...column, codec: columnCodec(column.type) }]));
  }

  /**
   * @param constants columns that have one value in all rows; they go before a row's own
   * @param nextTurn awaited after every millisecond of work
   * @returns undefined when the rows must go as JSON
   */
  async encode(
    rows: readonly WarehouseRow[],
    constants: WarehouseRow,
    nextTurn: () => Promise<void>,
  ): Promise<NativeBlock | undefined> {
    const used = this.usedColumns(rows, constants);
    if (used === undefined) return undefined;
    const out = new ByteWriter(rows.length * BYTES_A_ROW);
    out.varint(used.length);
    out.varint(rows.length);
    const values = new Array<WarehouseValue | undefined>(rows.length);
    let written = 0;
    for (const { name, type, hasDefault, codec } of used) {
      const constant = constants[name];
      if (constant === undefined) for (let i = 0; i < rows.length; i++) values[i] = rows[i]![name];
      else values.fill(constant);
      if (hasDefault && values.includes(undefined)) return undefined;
      out.text(name);
      out.text(type);
      try {
        codec.writePrefix(out);
        codec.write(values, out);
      } catch (error) {
        if (error instanceof Misfit) return undefined;
        throw error;
      }
      written += rows.length;
      if (written < VALUES_A_TURN) continue;
      written = 0;
      await nextTurn();
    }
    return { columns: used.map(({ name }) => name), bytes: out.take() };
  }

  /** In the table's order. undefined: some column is unknown here. */
  private usedColumns(
    rows: readonly WarehouseRow[],
    constants: WarehouseRow,
  ): (Column & { readonly codec: ColumnCodec })[] | undefined {
    const names = new Set(Object.keys(constants));
    for (const row of rows) for (const name in row) if (!names.has(name)) names.add(name);
    const used = [...this.columns.values()].filter(({ name }) => names.has(name));
    if (used.length < names.size || used.some(({ codec }) => codec === undefined)) return undefined;
    return used as (Column & { readonly codec: ColumnCodec })[];
  }
}
