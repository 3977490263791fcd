/**
 * Turns rows into records as a mapping says: pure, one row in, records with topic and key out.
 *
 * A row that does not fit throws ROW_INVALID naming row, column, value and expectation; nothing of it is sent.
 */
import { EngineError } from '../../schemas/errors.js';
import { requireEventId, requireItemId, requireSessionId, requireUserId } from '../../schemas/ids.js';
import { encodeRecord } from '../../schemas/codec.js';
import type { ContextDraft, InteractionType, ItemUpsertDraft } from '../../schemas/records.js';
import type { ListField, Mapping, TextField, TimeField } from './mapping.js';
import type { Row } from './rows.js';

export interface ConvertedRecord {
  readonly stream: 'user' | 'item';
  readonly key: string;
  readonly value: Buffer;
}

/** Items remembered to tell whether one changed; beyond it the oldest is sent again when met. */
const KNOWN_ITEMS_MAX = 1_000_000;

type TextReader = (row: Row) => string | null;

export class RowConverter {
  private readonly convertInteraction: ((row: Row) => ConvertedRecord) | undefined;
  private readonly convertItem: ((row: Row) => ConvertedRecord | undefined) | undefined;
  private readonly convertUser: ((row: Row) => ConvertedRecord) | undefined;
  private readonly convertImpression: ((row: Row) => ConvertedRecord[]) | undefined;
  private readonly knownItems = new Map<string, string>();

  /** `fileId` goes into generated event ids, so that the same row always has the same id. */
  constructor(
    mapping: Mapping,
    columns: readonly string[],
    private readonly fileId: string,
  ) {
    const fields = new FieldReader(columns);
    const { interaction, item, user, impression } = mapping;
    const fallbackTime = interaction?.ts ?? impression?.ts;
    if (interaction !== undefined) this.convertInteraction = this.compileInteraction(interaction, fields);
    if (item !== undefined) this.convertItem = this.compileItem(item, fields, fallbackTime);
    if (user !== undefined) this.convertUser = this.compileUser(user, fields, fallbackTime);
    if (impression !== undefined) this.convertImpression = this.compileImpression(impression, fields);
  }

  /** Items before the events that name them. */
  convert(row: Row): ConvertedRecord[] {
    if (row.fault !== undefined) throw rowError(row, row.fault);
    const records: ConvertedRecord[] = [];
    const item = this.convertItem?.(row);
    if (item !== undefined) records.push(item);
    if (this.convertUser !== undefined) records.push(this.convertUser(row));
    if (this.convertInteraction !== undefined) records.push(this.convertInteraction(row));
    if (this.convertImpression !== undefined) records.push(...this.convertImpression(row));
    return records;
  }

  private compileInteraction(
    mapping: NonNullable<Mapping['interaction']>,
    fields: FieldReader,
  ): (row: Row) => ConvertedRecord {
    const userId = fields.required(mapping.userId, 'userId');
    const itemId = fields.required(mapping.itemId, 'itemId');
    const eventId = mapping.eventId === undefined ? undefined : fields.text(mapping.eventId);
    const sessionId = mapping.sessionId === undefined ? undefined : fields.text(mapping.sessionId);
    const ts = fields.time(mapping.ts);
    const type = fields.interactionType(mapping.type);
    const value = fields.optionalNumber(mapping.value);
    const quantity = fields.optionalNumber(mapping.quantity);
    const dwellMs = fields.optionalNumber(mapping.dwellMs);
    const currency = mapping.currency === undefined ? undefined : fields.text(mapping.currency);
    const context = fields.context(mapping.context);
    return (row) => {
      const user = requireUserId(userId(row));
      const session = sessionId?.(row) ?? null;
      const at = ts(row);
      const record = encodeRecord('Interaction', {
        eventId: eventId === undefined ? this.rowId(row) : requireEventId(eventId(row)),
        userId: user,
        ts: at,
        receivedAt: at,
        producerId: this.fileId,
        sessionId: session === null ? null : requireSessionId(session),
        type: type(row),
        itemId: requireItemId(itemId(row)),
        value: value(row),
        currency: currency?.(row) ?? null,
        quantity: quantity(row),
        dwellMs: dwellMs(row),
        context: context?.(row) ?? null,
      });
      return { stream: 'user', key: user, value: record };
    };
  }

  private compileItem(
    mapping: NonNullable<Mapping['item']>,
    fields: FieldReader,
    fallback: TimeField | undefined,
  ): (row: Row) => ConvertedRecord | undefined {
    const itemId = fields.required(mapping.itemId, 'itemId');
    const ts = fields.time(mapping.ts ?? fallback ?? { unit: 'ms', stepMs: 1 });
    const read = {
      title: fields.optionalText(mapping.title),
      description: fields.optionalText(mapping.description),
      brand: fields.optionalText(mapping.brand),
      currency: fields.optionalText(mapping.currency),
    };
    const categories = fields.list(mapping.categories);
    const tags = fields.list(mapping.tags);
    const price = fields.optionalNumber(mapping.price);
    return (row) => {
      const key = requireItemId(itemId(row));
      const content = {
        itemId: key,
        title: read.title(row),
        description: read.description(row),
        brand: read.brand(row),
        currency: read.currency(row),
        categories: categories(row),
        tags: tags(row),
        price: price(row),
      };
      if (!this.isNewContent(key, content)) return undefined;
      const at = ts(row);
      const draft: ItemUpsertDraft = {
        eventId: this.rowId(row),
        ts: at,
        receivedAt: at,
        producerId: this.fileId,
        ...content,
      };
      return { stream: 'item', key, value: encodeRecord('ItemUpsert', draft) };
    };
  }

  private isNewContent(itemId: string, content: object): boolean {
    const text = JSON.stringify(content);
    if (this.knownItems.get(itemId) === text) return false;
    this.knownItems.set(itemId, text);
    if (this.knownItems.size > KNOWN_ITEMS_MAX) this.knownItems.delete(this.knownItems.keys().next().value!);
    return true;
  }

  private compileUser(
    mapping: NonNullable<Mapping['user']>,
    fields: FieldReader,
    fallback: TimeField | undefined,
  ): (row: Row) => ConvertedRecord {
    const userId = fields.required(mapping.userId, 'userId');
    const ts = fields.time(mapping.ts ?? fallback ?? { unit: 'ms', stepMs: 1 });
    const segments = mapping.segments.map((segment) => fields.text(segment));
    const traits = Object.entries(mapping.traits).map(([name, column]) => [name, fields.text(column)] as const);
    return (row) => {
      const key = requireUserId(userId(row));
      const at = ts(row);
      const value = encodeRecord('UserUpsert', {
        eventId: this.rowId(row),
        userId: key,
        ts: at,
        receivedAt: at,
        producerId: this.fileId,
        segments: segments.map((read) => read(row)).filter((segment) => segment !== null),
        traits: Object.fromEntries(traits.map(([name, read]) => [name, read(row) ?? ''])),
      });
      return { stream: 'user', key, value };
    };
  }

  private compileImpression(
    mapping: NonNullable<Mapping['impression']>,
    fields: FieldReader,
  ): (row: Row) => ConvertedRecord[] {
    const userId = fields.required(mapping.userId, 'userId');
    const itemId = fields.required(mapping.itemId, 'itemId');
    const requestId = fields.required(mapping.requestId, 'requestId');
    const placement = fields.required(mapping.placement, 'placement');
    const ts = fields.time(mapping.ts);
    const position = fields.optionalNumber(mapping.position);
    const propensity = fields.optionalNumber(mapping.propensity);
    const feedback = fields.optionalNumber(mapping.feedback?.column);
    const eligibleCount = mapping.eligibleCount ?? null;
    return (row) => {
      const key = requireUserId(userId(row));
      const item = requireItemId(itemId(row));
      const at = ts(row);
      const place = (position(row) ?? mapping.positionFrom) - mapping.positionFrom;
      const common = { userId: key, ts: at, receivedAt: at, producerId: this.fileId };
      const request = { requestId: requestId(row), placement: placement(row) };
      const slate = [{ itemId: item, position: place, propensity: propensity(row) }];
      const viewed = encodeRecord('Impression', {
        ...common,
        ...request,
        eventId: this.rowId(row),
        stage: 'viewed',
        slate,
        eligibleCount,
      });
      const records: ConvertedRecord[] = [{ stream: 'user', key, value: viewed }];
      if (mapping.feedback !== undefined && (feedback(row) ?? 0) !== 0) {
        const attribution = { ...request, position: place, propensity: propensity(row), eligibleCount };
        const draft = {
          ...common,
          eventId: `${this.rowId(row)}-f`,
          type: mapping.feedback.type,
          itemId: item,
          attribution,
        };
        records.push({ stream: 'user', key, value: encodeRecord('Interaction', draft) });
      }
      return records;
    };
  }

  private rowId(row: Row): string {
    return `${this.fileId}-${row.number}`;
  }
}

/** Compiles field descriptions into functions over rows. */
class FieldReader {
  private readonly indexes: ReadonlyMap<string, number>;

  constructor(columns: readonly string[]) {
    this.indexes = new Map(columns.map((name, index) => [name, index]));
  }

  private at(column: string): (row: Row) => string {
    const index = this.indexes.get(column);
    if (index === undefined) throw new EngineError('MAPPING_INVALID', `There is no column '${column}'.`);
    return (row) => row.values[index] ?? '';
  }

  text(field: TextField): TextReader {
    if (typeof field === 'string') {
      const read = this.at(field);
      return (row) => read(row) || null;
    }
    const { constant, column, prefix = '' } = field;
    if (constant !== undefined) return () => constant;
    if (field.row === true) return (row) => `${prefix}${row.number}`;
    const read = this.at(column ?? '');
    return (row) => {
      const value = read(row);
      return value === '' ? null : prefix + value;
    };
  }

  optionalText(field: TextField | undefined): TextReader {
    return field === undefined ? () => null : this.text(field);
  }

  required(field: TextField, name: string): (row: Row) => string {
    const read = this.text(field);
    return (row) => {
      const value = read(row);
      if (value === null) throw rowError(row, `has no ${name}`);
      return value;
    };
  }

  optionalNumber(column: string | undefined): (row: Row) => number | null {
    if (column === undefined) return () => null;
    const read = this.at(column);
    return (row) => {
      const value = read(row);
      if (value === '') return null;
      const number = Number(value);
      if (Number.isFinite(number)) return number;
      throw rowError(row, `has '${value.slice(0, 60)}' in column '${column}', expected a number`);
    };
  }

  list(field: ListField | undefined): (row: Row) => string[] {
    if (field === undefined) return () => [];
    if (typeof field === 'string') {
      const read = this.at(field);
      return (row) => (read(row) === '' ? [] : [read(row)]);
    }
    const read = this.at(field.column);
    return (row) => {
      const entries = read(row)
        .split(field.split)
        .filter((entry) => entry !== '');
      return field.reverse ? entries.reverse() : entries;
    };
  }

  interactionType(field: NonNullable<Mapping['interaction']>['type']): (row: Row) => InteractionType {
    if ('constant' in field) return () => field.constant;
    const read = this.at(field.column);
    const types = new Map(Object.entries(field.values));
    return (row) => {
      const type = types.get(read(row));
      if (type !== undefined) return type;
      throw rowError(
        row,
        `has event type '${read(row).slice(0, 60)}', expected one of ${[...types.keys()].join(', ')}`,
      );
    };
  }

  time(field: TimeField): (row: Row) => number {
    if (field.column === undefined) {
      const start = Date.parse(field.start ?? '2020-01-01T00:00:00Z');
      return (row) => start + row.number * field.stepMs;
    }
    const read = this.at(field.column);
    return (row) => {
      const ms = toMilliseconds(read(row), field.unit);
      if (Number.isSafeInteger(ms)) return ms;
      throw rowError(row, `has time '${read(row).slice(0, 60)}', expected ${field.unit}`);
    };
  }

  context(mapping: NonNullable<Mapping['interaction']>['context']): ((row: Row) => ContextDraft) | undefined {
    if (mapping === undefined) return undefined;
    const names = ['device', 'os', 'country', 'region', 'referrer', 'language'] as const;
    const readers = names.map((name) => this.optionalText(mapping[name]));
    return (row) => ({
      device: readers[0]!(row),
      os: readers[1]!(row),
      country: readers[2]!(row),
      region: readers[3]!(row),
      referrer: readers[4]!(row),
      language: readers[5]!(row),
    });
  }
}

const MS_PER_UNIT = { ms: 1, s: 1_000, us: 1 / 1_000 };

function toMilliseconds(text: string, unit: TimeField['unit']): number {
  if (text === '') return NaN;
  if (unit !== 'iso') return Math.round(Number(text) * MS_PER_UNIT[unit]);
  // '2019-10-01 00:00:00 UTC' is what several exports write; it differs from ISO 8601 by two characters.
  return Date.parse(text.replace(/ UTC$/, 'Z').replace(/^(\d{4}-\d\d-\d\d) /, '$1T'));
}

function rowError(row: Row, what: string): EngineError {
  return new EngineError('ROW_INVALID', `Row ${row.number} ${what}.`, { context: { row: row.number } });
}
