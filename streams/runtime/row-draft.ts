/**
 * Puts rows together for the commit: changed cells are encoded in place, all others are copied from the stored row.
 *
 * One draft serves all rows of a thread, one after another, so a row costs the one block it is stored as.
 */
import { BinaryWriter } from '../../schemas/binary-writer.js';
import type { BlockMemory } from '../block-memory.js';
import type { CellLayout } from './cell-layout.js';
import { ROW_ENTRY_BYTES, ROW_FORMAT, ROW_HEADER_BYTES } from './row-bytes.js';

export interface RowContent {
  readonly layout: CellLayout;
  /** Bits by ordinal: cells that are there, and those of them that are to be encoded. */
  readonly held: number;
  readonly changed: number;
  /** By ordinal, of the changed cells at least. */
  readonly states: readonly unknown[];
  readonly stored: Buffer | undefined;
  /** Input offset that last changed the row. */
  readonly version: number;
}

export class RowDraft {
  private readonly writer = new BinaryWriter();
  private count = 0;
  private readonly hashes: number[] = [];
  private readonly versions: number[] = [];
  /** Ordinal of a cell to encode, or −1 for one that is copied from `from`. */
  private readonly ordinals: number[] = [];
  private readonly from: number[] = [];
  private readonly lengths: number[] = [];

  /**
   * Encodes changed cells and copies the others; undefined when none is left. `block` is what the row was stored as: it is
   * released, or holds the row that is returned.
   */
  assemble(content: RowContent, block: Buffer | undefined, memory: BlockMemory): Buffer | undefined {
    const { layout, states, stored, version } = content;
    this.plan(content);
    const { writer, count, ordinals } = this;
    if (count === 0) {
      if (block !== undefined) memory.release(block);
      return undefined;
    }
    writer.openScratch();
    writer.skip(ROW_HEADER_BYTES + ROW_ENTRY_BYTES * count);
    for (let i = 0; i < count; i++) {
      const ordinal = ordinals[i]!;
      const start = writer.position;
      if (ordinal < 0) {
        writer.writeSlice(stored!, this.from[i]!, this.lengths[i]!);
        continue;
      }
      const { state } = layout.operators[ordinal]!;
      if (state.encodeInto === undefined) writer.writeFixed(state.encode(states[ordinal]));
      else state.encodeInto(states[ordinal], writer);
      this.lengths[i] = writer.position - start;
    }
    // Everything was copied from the old block by now.
    const row = memory.exchangeUnsafe(block, writer.position);
    writer.copyScratch(row);
    this.writeHeader(row, version);
    return row;
  }

  /** Merges changed cells into the stored ones, both by rising hash. */
  private plan({ layout, held, changed, stored }: RowContent): void {
    this.count = 0;
    let next = 0;
    const addChangedBelow = (bound: number): void => {
      for (; next < layout.stored.length; next++) {
        const ordinal = layout.stored[next]!;
        const hash = layout.hashes[ordinal]!;
        if (hash >= bound) return;
        if ((changed & (1 << ordinal)) !== 0) this.add(hash, layout.operators[ordinal]!.state.version, ordinal, 0, 0);
      }
    };
    if (stored !== undefined) {
      let entry = ROW_HEADER_BYTES;
      let body = ROW_HEADER_BYTES + ROW_ENTRY_BYTES * stored[9]!;
      for (let i = stored[9]!; i > 0; i--) {
        const hash = stored.readUInt32LE(entry);
        const length = stored.readUInt32LE(entry + 6);
        addChangedBelow(hash);
        const ordinal = layout.ordinalOf(hash);
        const isCarried = ordinal === undefined || (held & ~changed & (1 << ordinal)) !== 0;
        if (isCarried) this.add(hash, stored.readUInt16LE(entry + 4), -1, body, length);
        entry += ROW_ENTRY_BYTES;
        body += length;
      }
    }
    addChangedBelow(Infinity);
  }

  private add(hash: number, version: number, ordinal: number, from: number, length: number): void {
    const i = this.count++;
    this.hashes[i] = hash;
    this.versions[i] = version;
    this.ordinals[i] = ordinal;
    this.from[i] = from;
    this.lengths[i] = length;
  }

  private writeHeader(row: Buffer, version: number): void {
    row[0] = ROW_FORMAT;
    row.writeDoubleLE(version, 1);
    row[9] = this.count;
    let entry = ROW_HEADER_BYTES;
    for (let i = 0; i < this.count; i++) {
      row.writeUInt32LE(this.hashes[i]!, entry);
      row.writeUInt16LE(this.versions[i]!, entry + 4);
      row.writeUInt32LE(this.lengths[i]!, entry + 6);
      entry += ROW_ENTRY_BYTES;
    }
  }
}
