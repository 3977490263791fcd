/**
 * Encodes the records of a benchmark's mix (mix.ts) with as little work as possible.
 *
 * One draft a kind is filled again and again, and values are slices of slabs: per record only its ids, its slice and
 * its place in the batch are allocated. A slab lives as long as the last of its records does.
 */
import { encodeRecord, encodeRecordInto } from '../../schemas/codec.js';
import type { ContextDraft, DraftByKind, InteractionType, RecordKind } from '../../schemas/records.js';
import { SLATE_LENGTH } from './behaviour.js';
import type { TrafficRecord } from './traffic-records.js';

export interface MixCounts {
  interactions: number;
  impressions: number;
  identifies: number;
  profiles: number;
  /** Of the values. */
  bytes: number;
}

/** Who acts: the parts that all records of a visit share. */
export interface MixActor {
  readonly userId: string;
  readonly sessionId: string;
  readonly utcOffset: number;
  readonly context: ContextDraft;
}

export interface MixInteraction {
  readonly ts: number;
  readonly type: InteractionType;
  readonly itemId: string;
  readonly price: number;
  readonly dwellMs: number;
  /** Place in the slate written last; −1: found without it. */
  readonly position: number;
}

const SLAB_BYTES = 256 * 1024;
const PRODUCER_ID = 'mix';
const PLACEMENT = 'home';
/** Stars given, so that ratings say something. */
const RATINGS = [1, 2, 3, 4, 5];
const NOBODY: ContextDraft = {};

export class MixWriter {
  readonly counts: MixCounts = { interactions: 0, impressions: 0, identifies: 0, profiles: 0, bytes: 0 };
  private readonly impression = createImpression();
  private readonly interaction = createInteraction();
  private readonly attribution = { requestId: '', placement: PLACEMENT, position: 0 };
  private slab = Buffer.allocUnsafe(SLAB_BYTES);
  private end = 0;
  private sequence = 0;
  private batch: TrafficRecord[] = [];

  constructor(private readonly runId: string) {}

  /** What was written since it was last taken. */
  takeBatch(): readonly TrafficRecord[] {
    const taken = this.batch;
    this.batch = [];
    return taken;
  }

  /** @param itemIds `SLATE_LENGTH` of them */
  writeImpression(actor: MixActor, ts: number, itemIds: readonly string[]): void {
    const draft = this.impression;
    draft.requestId = this.attribution.requestId = `${this.runId}-r${this.counts.impressions}`;
    for (let place = 0; place < SLATE_LENGTH; place++) draft.slate[place]!.itemId = itemIds[place]!;
    this.fill(draft, actor, ts);
    this.counts.impressions++;
    this.push('Impression', actor.userId, draft);
  }

  writeInteraction(actor: MixActor, made: MixInteraction): void {
    const { type, position } = made;
    const isPriced = type === 'purchase' || type === 'addToCart';
    const draft = this.interaction;
    draft.type = type;
    draft.itemId = made.itemId;
    draft.value = isPriced ? made.price : type === 'rate' ? RATINGS[made.dwellMs % RATINGS.length]! : null;
    draft.currency = isPriced ? 'EUR' : null;
    draft.quantity = isPriced ? 1 : null;
    draft.dwellMs = type === 'view' || type === 'click' ? made.dwellMs : null;
    draft.attribution = position < 0 ? null : this.attribution;
    this.attribution.position = position;
    this.fill(draft, actor, made.ts);
    this.counts.interactions++;
    this.push('Interaction', actor.userId, draft);
  }

  /** A visitor turns out to be a user: Identify and UserUpsert. */
  writeLogin(anonymousId: string, userId: string, ts: number): void {
    const common = { ts, receivedAt: ts, producerId: PRODUCER_ID };
    this.counts.identifies++;
    this.push('Identify', anonymousId, { ...common, eventId: this.nextId(), anonymousId, userId });
    this.counts.profiles++;
    this.push('UserUpsert', userId, { ...common, eventId: this.nextId(), userId });
  }

  private fill(draft: ReturnType<typeof createCommon>, actor: MixActor, ts: number): void {
    draft.eventId = this.nextId();
    draft.userId = actor.userId;
    draft.ts = ts;
    draft.receivedAt = ts;
    draft.utcOffset = actor.utcOffset;
    draft.sessionId = actor.sessionId;
    draft.context = actor.context;
  }

  private nextId(): string {
    return `${this.runId}-${this.sequence++}`;
  }

  private push<K extends RecordKind>(kind: K, key: string, draft: DraftByKind[K]): void {
    const value = this.encode(kind, draft);
    this.counts.bytes += value.length;
    this.batch.push({ stream: 'user', key, value });
  }

  private encode<K extends RecordKind>(kind: K, draft: DraftByKind[K]): Buffer {
    let end = encodeRecordInto(kind, draft, this.slab, this.end);
    if (end < 0) {
      this.slab = Buffer.allocUnsafe(SLAB_BYTES);
      this.end = 0;
      end = encodeRecordInto(kind, draft, this.slab, 0);
      if (end < 0) return encodeRecord(kind, draft);
    }
    const value = this.slab.subarray(this.end, end);
    this.end = end;
    return value;
  }
}

/** All fields in the order of the schema, so that drafts keep one shape. */
function createCommon() {
  return {
    eventId: '',
    userId: '',
    anonymousId: null,
    ts: 0,
    receivedAt: 0,
    utcOffset: 0,
    producerId: PRODUCER_ID,
    sessionId: '',
    context: NOBODY,
  };
}

function createImpression() {
  return {
    ...createCommon(),
    stage: 'viewed' as const,
    requestId: '',
    placement: PLACEMENT,
    slate: Array.from({ length: SLATE_LENGTH }, (_, position) => ({
      itemId: '',
      position,
      propensity: null,
      source: null,
    })),
    eligibleCount: null,
    versions: null,
    assignments: [],
    consent: null,
  };
}

function createInteraction() {
  return {
    ...createCommon(),
    type: 'view' as InteractionType,
    itemId: '',
    value: null as number | null,
    currency: null as string | null,
    quantity: null as number | null,
    dwellMs: null as number | null,
    consent: null,
    attribution: null as { requestId: string; placement: string; position: number } | null,
  };
}
