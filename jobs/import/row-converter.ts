/**
 * Turns rows into records as a mapping says: pure, one row in, records with topic and key out.
 *
 * A row that does not fit throws ROW_INVALID naming row, column, value and expectation; nothing of it is sent.
 */
import { isEngineError } from '../../schemas/errors.js';
import { requireEventId, requireItemId, requireSessionId, requireUserId } from '../../schemas/ids.js';
import { encodeRecord } from '../../schemas/codec.js';
import type { ItemUpsertDraft } from '../../schemas/records.js';
import { FieldReader, rowError } from './field-reader.js';
import type { Mapping, TimeField } from './mapping.js';
import type { Row } from './rows.js';

export interface ConvertedRecord {
  readonly stream: 'user' | 'item';
  readonly key: string;
  readonly value: Buffer;
}

/** An item that is new or changed, with its content as text. */
interface ConvertedItem {
  readonly record: ConvertedRecord;
  readonly content: string;
}

/** Items remembered to tell whether one changed; beyond it the oldest is sent again when met. */
const KNOWN_ITEMS_MAX = 1_000_000;

export class RowConverter {
  private readonly convertInteraction: ((row: Row) => ConvertedRecord) | undefined;
  private readonly convertItem: ((row: Row) => ConvertedItem | undefined) | undefined;
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
    if (item !== undefined) records.push(item.record);
    if (this.convertUser !== undefined) records.push(this.convertUser(row));
    if (this.convertInteraction !== undefined) records.push(this.convertInteraction(row));
    if (this.convertImpression !== undefined) records.push(...this.convertImpression(row));
    // Only now: of a row that does not fit nothing is sent, the item neither.
    if (item !== undefined) this.remember(item.record.key, item.content);
    return records;
  }

  /**
   * Takes a row that an earlier import has sent: whether a later row sends an item, and so the identity of what stands
   * beside it, depends on the rows before.
   */
  pass(row: Row): void {
    if (this.convertItem === undefined) return;
    try {
      this.convert(row);
    } catch (error) {
      // It was turned away then, too.
      if (!isEngineError(error)) throw error;
    }
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
  ): (row: Row) => ConvertedItem | undefined {
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
      const text = JSON.stringify(content);
      if (this.knownItems.get(key) === text) return undefined;
      const at = ts(row);
      const draft: ItemUpsertDraft = {
        eventId: this.rowId(row),
        ts: at,
        receivedAt: at,
        producerId: this.fileId,
        ...content,
      };
      return { record: { stream: 'item', key, value: encodeRecord('ItemUpsert', draft) }, content: text };
    };
  }

  private remember(itemId: string, content: string): void {
    this.knownItems.set(itemId, content);
    if (this.knownItems.size > KNOWN_ITEMS_MAX) this.knownItems.delete(this.knownItems.keys().next().value!);
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
