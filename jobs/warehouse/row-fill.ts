/**
 * The rows of one record while they are put into a table's columns: where they begin, how many share a value, and the bytes
 * that the record's places point into. One object, moved from record to record.
 */
import { TextCursor, type TextPlace } from '../../schemas/record-view.js';
import type { Column, LongColumn, UuidColumn } from '../../streams/warehouse/column.js';
import type { ListColumn, MapColumn, NullableColumn } from '../../streams/warehouse/nested-column.js';
import type { TextColumn, WordColumn } from '../../streams/warehouse/text-column.js';
import type { Utf8Slice } from '../../streams/warehouse/utf8-slice.js';
import type { Pseudonyms } from './pseudonyms.js';

/** What DateTime64 can hold; a time outside would get the whole row refused. */
const TIME_MIN = Date.UTC(1900, 0, 1);
const TIME_MAX = Date.UTC(2299, 11, 31);

type Texts = WordColumn | TextColumn;

export class RowFill {
  /** First row of the record. */
  row = 0;
  count = 0;
  /** When the record was logged, ms since epoch. */
  appendedAt = 0;
  bytes: Buffer = Buffer.alloc(0);
  private readonly cursor = new TextCursor();
  private readonly second = new TextCursor();

  constructor(readonly pseudonyms: Pseudonyms) {}

  /** Valid until the next text is asked for. */
  textAt(place: TextPlace): TextCursor {
    return this.cursor.moveTo(this.bytes, place);
  }

  text(column: Texts, place: TextPlace | null): void {
    if (place !== null) column.put(this.row, this.count, this.textAt(place));
  }

  time(column: LongColumn, ms: number): void {
    column.put(this.row, this.count, clampTime(ms));
  }

  event(column: UuidColumn, eventId: TextPlace): void {
    column.put(this.row, this.count, this.pseudonyms.event(this.textAt(eventId)));
  }

  user(column: UuidColumn, userId: TextPlace): void {
    column.put(this.row, this.count, this.pseudonyms.user(this.textAt(userId)));
  }

  session(column: UuidColumn, userId: TextPlace, sessionId: TextPlace): void {
    const user: Utf8Slice = this.second.moveTo(this.bytes, userId);
    column.put(this.row, this.count, this.pseudonyms.session(user, this.textAt(sessionId)));
  }

  number<C extends NumberColumn>(column: NullableColumn<C>, value: number | null): void {
    if (value !== null) column.at(this.row, this.count).put(this.row, this.count, value);
  }

  texts(column: ListColumn<Texts>, places: readonly TextPlace[]): void {
    const first = column.extend(this.row, places.length);
    places.forEach((place, i) => column.elements.put(first + i, 1, this.textAt(place)));
  }

  /** Every row of the record gets the entries of the map. */
  map(column: MapColumn<WordColumn, Texts>, map: ReadonlyMap<string, string>): void {
    if (map.size === 0) return;
    for (let row = this.row; row < this.row + this.count; row++) {
      let at = column.extend(row, map.size);
      for (const [key, value] of map) {
        column.keys.put(at, 1, this.cursor.moveToText(key));
        column.values.put(at++, 1, this.cursor.moveToText(value));
      }
    }
  }
}

type NumberColumn = Column & { put(row: number, count: number, value: number): void };

export const clampTime = (ms: number): number => Math.min(TIME_MAX, Math.max(TIME_MIN, ms));
