/**
 * Answers requests for recommendations: reads the user once, runs the `full` pipeline, freezes the slate for paging,
 * and logs each page as served without making the answer wait for it.
 *
 * Every page has a requestId of its own: what is viewed or clicked names the page it was on, with the positions of the
 * whole slate. Served records that find the writer full are dropped and counted: they are not exposure.
 */
import { encodeRecord } from '../../schemas/codec.js';
import { EngineError } from '../../schemas/errors.js';
import type { ImpressionDraft, ImpressionStage, VersionsDraft } from '../../schemas/records.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Counter } from '../../streams/metrics.js';
import { formatVersion } from '../feed/feed-version.js';
import type { Catalogue, Recommender, RecommendedItem, RequestContext, UserReader } from '../node/ports.js';
import type { LogWriter } from './log-writer.js';
import { decodeCursor, encodeCursor, type ServedSlate, type SlateCache } from './slates.js';

export interface RecommendationsOptions {
  readonly recommender: Recommender;
  readonly users: UserReader;
  readonly catalogue: Catalogue;
  readonly writer: LogWriter;
  readonly slates: SlateCache;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly generation: () => number;
  readonly newId: () => string;
  /** Served records that were given up. */
  readonly droppedTotal: Counter;
}

export interface RecommendationQuery {
  readonly userId: string;
  readonly placement: string;
  readonly limit: number;
  readonly cursor: string | undefined;
  readonly context: RequestContext;
  /** Time the request is about; the edge's clock when absent. */
  readonly time: number | undefined;
  readonly producerId: string;
}

export interface PlacedItem extends RecommendedItem {
  /** In the whole list, from 0. */
  readonly position: number;
}

export interface RecommendationPage {
  readonly userId: string;
  readonly placement: string;
  readonly requestId: string;
  /** Version of the user's state that this rests on. */
  readonly version: string;
  /** When the slate was made, ms since epoch: a later page is as old as the first. */
  readonly generatedAt: number;
  readonly items: readonly PlacedItem[];
  readonly eligibleCount: number;
  /** Published models that took part: `model/NAME` -> version. */
  readonly models: Readonly<Record<string, string>>;
  /** Published models that were not asked, because they fail or are slow; absent when all were. */
  readonly leftOut?: readonly { readonly model: string; readonly why: string }[];
  /** For the next page; absent at the end. */
  readonly cursor?: string;
}

/** What the client says was seen. */
export interface ViewedReport {
  readonly userId: string;
  readonly requestId: string;
  readonly itemIds: readonly string[];
  readonly positions: readonly number[] | undefined;
  readonly placement: string | undefined;
  readonly producerId: string;
  /** What was shown, where the caller has it; else it is looked up by requestId. */
  readonly shown?: Pick<ServedSlate, 'userId' | 'placement' | 'list' | 'eligibleCount' | 'models'>;
}

/** A slate holds this many pages, as far as the pipeline goes. */
const PAGES = 5;
const SLATE_ITEMS_MAX = 100;

export class Recommendations {
  constructor(private readonly options: RecommendationsOptions) {}

  /** @throws CURSOR_EXPIRED, REQUEST_INVALID */
  async page(query: RecommendationQuery): Promise<RecommendationPage> {
    const { slate, position } =
      query.cursor === undefined ? await this.first(query) : this.continued(query, query.cursor);
    return this.cut(slate, position, query);
  }

  /** Resolves when the report is durable. */
  async viewed(report: ViewedReport): Promise<void> {
    const { slates, writer, newId, clock } = this.options;
    const slate = report.shown ?? slates.get(report.requestId);
    if (slate !== undefined && slate.userId !== report.userId) {
      throw new EngineError(
        'REQUEST_INVALID',
        `requestId ${report.requestId} was served to another user than userId says`,
      );
    }
    const places = report.itemIds.map((itemId, i) => {
      const known = slate?.list.placeOf(itemId) ?? -1;
      const position = report.positions?.[i] ?? (known >= 0 ? known : i);
      return { itemId, position, source: known >= 0 ? slate!.list.at(known).source : null };
    });
    const record = impression('viewed', {
      eventId: newId(),
      userId: report.userId,
      requestId: report.requestId,
      placement: report.placement ?? slate?.placement ?? 'default',
      slate: places,
      eligibleCount: slate?.eligibleCount ?? null,
      versions: versionsOf(slate?.models),
      producerId: report.producerId,
      ts: clock.now(),
    });
    await writer.append([record]);
  }

  private async first(query: RecommendationQuery): Promise<{ slate: ServedSlate; position: number }> {
    const { recommender, users, clock, generation, newId } = this.options;
    const now = query.time ?? clock.now();
    const [user] = await users.read([query.userId], now);
    const { list, eligibleCount, models, leftOut } = recommender.rank({
      user: user!.snapshot,
      personId: query.userId,
      placement: query.placement,
      limit: Math.min(SLATE_ITEMS_MAX, query.limit * PAGES),
      pipeline: 'full',
      context: query.context,
      excluded: undefined,
      now,
    });
    const version = formatVersion({
      generation: generation(),
      partition: user!.partition,
      offset: user!.offset,
      revision: 0,
    });
    const { userId, placement } = query;
    const made = { list, eligibleCount, models, leftOut, version };
    const slate = { slateId: newId(), userId, placement, ...made, createdAt: clock.now() };
    return { slate, position: 0 };
  }

  private continued(query: RecommendationQuery, text: string): { slate: ServedSlate; position: number } {
    const cursor = decodeCursor(text);
    const slate = this.options.slates.get(cursor.slateId);
    if (slate === undefined)
      throw new EngineError('CURSOR_EXPIRED', 'The slate of this cursor is no longer held; start again without cursor');
    if (slate.userId !== query.userId) throw new EngineError('REQUEST_INVALID', 'cursor belongs to another user');
    return { slate, position: Math.min(cursor.position, slate.list.length) };
  }

  private cut(slate: ServedSlate, from: number, query: RecommendationQuery): RecommendationPage {
    const { slates, catalogue, newId } = this.options;
    const items: PlacedItem[] = [];
    const { list } = slate;
    let position = from;
    while (position < list.length && items.length < query.limit) {
      const item = list.at(position);
      // The list is frozen, the catalogue is not: what was withdrawn meanwhile is left out.
      if (from === 0 || catalogue.isServable(item.itemId)) items.push(placed(item, position));
      position++;
    }
    const requestId = from === 0 ? slate.slateId : newId();
    slates.add(requestId, slate);
    if (items.length > 0) this.logServed(slate, requestId, items, query);
    return {
      userId: slate.userId,
      placement: slate.placement,
      requestId,
      version: slate.version,
      generatedAt: slate.createdAt,
      items,
      eligibleCount: slate.eligibleCount,
      models: slate.models ?? {},
      ...(slate.leftOut !== undefined && slate.leftOut.length > 0 && { leftOut: slate.leftOut }),
      ...(position < list.length && { cursor: encodeCursor({ slateId: requestId, position }) }),
    };
  }

  private logServed(
    slate: ServedSlate,
    requestId: string,
    items: RecommendationPage['items'],
    query: RecommendationQuery,
  ): void {
    const { writer, clock, newId, logger, droppedTotal } = this.options;
    const { device, country, region, latitude, longitude, weather, language } = query.context;
    const record = impression('served', {
      eventId: newId(),
      userId: slate.userId,
      requestId,
      placement: slate.placement,
      slate: items.map(({ itemId, position, source }) => ({ itemId, position, source })),
      eligibleCount: slate.eligibleCount,
      versions: versionsOf(slate.models),
      producerId: query.producerId,
      ts: clock.now(),
      context: { device, country, region, latitude, longitude, weather, language },
    });
    writer.appendSoon([record]).catch((error: unknown) => {
      droppedTotal.inc();
      logger.debug('a served impression was dropped', { error });
    });
  }
}

/** Field by field: spreading an item takes seven times the memory. */
function placed({ itemId, score, confidence, reasons, source }: RecommendedItem, position: number): PlacedItem {
  return { itemId, score, confidence, reasons, source, position };
}

/** Without published models there is nothing to tell, and the record stays small. */
function versionsOf(models: ServedSlate['models']): VersionsDraft | null {
  return models === undefined || Object.keys(models).length === 0 ? null : { models };
}

type ImpressionFields = Omit<ImpressionDraft, 'stage' | 'receivedAt'>;

/** An encoded impression of the edge's own making. */
export function impression(stage: ImpressionStage, fields: ImpressionFields): { key: string; value: Buffer } {
  return { key: fields.userId, value: encodeRecord('Impression', { stage, receivedAt: fields.ts, ...fields }) };
}
