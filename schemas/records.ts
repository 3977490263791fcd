/**
 * GENERATED from schemas/avro/*.avsc by schemas/generate.ts: change the schemas and generate again, never this file.
 *
 * Decoded records have every field (nullable ones as `T | null`); a `Draft` is what a writer passes: fields with a
 * default may be left out. `kind` sits on the prototype of decoded records: it costs nothing, and `{ ...record }` does
 * not copy it. Ids are plain strings here; ids.ts turns them into branded ones.
 */

/** Served is what was sent; viewed is what the client says was seen. Only viewed is exposure. */
export const IMPRESSION_STAGES = ['served', 'viewed'] as const;
export type ImpressionStage = (typeof IMPRESSION_STAGES)[number];

/** What a person did with an item. A reader older than a symbol takes it for the weakest one. */
export const INTERACTION_TYPES = [
  'view',
  'click',
  'like',
  'dislike',
  'share',
  'bookmark',
  'comment',
  'follow',
  'addToCart',
  'removeFromCart',
  'purchase',
  'rate',
  'skip',
  'block',
] as const;
export type InteractionType = (typeof INTERACTION_TYPES)[number];

/** A switch recorded in the data flow: a model, configuration or embedding space took effect here. */
export interface Control {
  readonly kind: 'Control';
  readonly ts: number;
  /** kind/name of what switched */
  readonly name: string;
  readonly version: string;
  /** JSON */
  readonly payload: string | null;
}

export interface ControlDraft {
  readonly ts: number;
  readonly name: string;
  readonly version: string;
  readonly payload?: string | null | undefined;
}

/** A record that could not be processed, with its bytes and the reason. */
export interface DeadLetter {
  readonly kind: 'DeadLetter';
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  /** EngineError code */
  readonly code: string;
  readonly reason: string;
  readonly operator: string | null;
  readonly at: number;
  readonly value: Buffer;
}

export interface DeadLetterDraft {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly code: string;
  readonly reason: string;
  readonly operator?: string | null | undefined;
  readonly at: number;
  readonly value: Buffer;
}

/** A person's state is to be removed. */
export interface Erase {
  readonly kind: 'Erase';
  readonly eventId: string;
  readonly userId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly reason: string | null;
}

export interface EraseDraft {
  readonly eventId: string;
  readonly userId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly reason?: string | null | undefined;
}

/** A user's state moved: serving recomputes and pushes. May be lost. */
export interface FeedHint {
  readonly kind: 'FeedHint';
  readonly userId: string;
  readonly generation: number;
  readonly partition: number;
  /** Version of the state after the commit. */
  readonly offset: number;
  /** Bounded: the latest records folded in. */
  readonly eventIds: readonly string[];
}

export interface FeedHintDraft {
  readonly userId: string;
  readonly generation: number;
  readonly partition: number;
  readonly offset: number;
  readonly eventIds: readonly string[];
}

/** A record that reached an id after it became another, sent on unchanged. */
export interface Forwarded {
  readonly kind: 'Forwarded';
  /** Partition key. */
  readonly userId: string;
  readonly path: readonly string[];
  readonly ts: number;
  readonly receivedAt: number;
  /** The original record as encoded. */
  readonly value: Buffer;
}

export interface ForwardedDraft {
  readonly userId: string;
  readonly path: readonly string[];
  readonly ts: number;
  readonly receivedAt: number;
  readonly value: Buffer;
}

/** An anonymous id turned out to be a known user: the record's key is the anonymous id. */
export interface Identify {
  readonly kind: 'Identify';
  readonly eventId: string;
  /** Partition key: the id whose state moves. */
  readonly anonymousId: string;
  /** The id it moves to. */
  readonly userId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly producerId: string;
}

export interface IdentifyDraft {
  readonly eventId: string;
  readonly anonymousId: string;
  readonly userId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly producerId: string;
}

/** One place of a slate. */
export interface SlateItem {
  readonly itemId: string;
  /** 0-based */
  readonly position: number;
  readonly propensity: number | null;
  /** retrieval source that contributed most */
  readonly source: string | null;
}

export interface SlateItemDraft {
  readonly itemId: string;
  readonly position: number;
  readonly propensity?: number | null | undefined;
  readonly source?: string | null | undefined;
}

/** What produced a slate: all that is needed to reproduce or evaluate it later. */
export interface Versions {
  readonly policy: string | null;
  /** model name to version */
  readonly models: Readonly<Record<string, string>>;
  /** feature set version */
  readonly features: string | null;
  /** embedding space id */
  readonly space: string | null;
}

export interface VersionsDraft {
  readonly policy?: string | null | undefined;
  readonly models?: Readonly<Record<string, string>> | undefined;
  readonly features?: string | null | undefined;
  readonly space?: string | null | undefined;
}

/** One experiment the person was in when the event happened. */
export interface Assignment {
  readonly experiment: string;
  readonly variant: string;
}

export interface AssignmentDraft {
  readonly experiment: string;
  readonly variant: string;
}

/** What the person allowed when the event happened. */
export interface Consent {
  readonly personalization: boolean;
  readonly analytics: boolean;
}

export interface ConsentDraft {
  readonly personalization: boolean;
  readonly analytics: boolean;
}

/** Where and how an event happened; every part may be absent. */
export interface Context {
  /** phone, tablet, desktop, tv, or the source's own word */
  readonly device: string | null;
  readonly os: string | null;
  /** ISO 3166-1 alpha-2 where the source has it */
  readonly country: string | null;
  readonly region: string | null;
  /** degrees */
  readonly latitude: number | null;
  /** degrees */
  readonly longitude: number | null;
  readonly weather: string | null;
  readonly referrer: string | null;
  readonly page: string | null;
  /** BCP 47 */
  readonly language: string | null;
  /** anything else worth keeping */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ContextDraft {
  readonly device?: string | null | undefined;
  readonly os?: string | null | undefined;
  readonly country?: string | null | undefined;
  readonly region?: string | null | undefined;
  readonly latitude?: number | null | undefined;
  readonly longitude?: number | null | undefined;
  readonly weather?: string | null | undefined;
  readonly referrer?: string | null | undefined;
  readonly page?: string | null | undefined;
  readonly language?: string | null | undefined;
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** A slate was served to, or viewed by, a person. */
export interface Impression {
  readonly kind: 'Impression';
  /** Idempotence key, unique per producer's event. */
  readonly eventId: string;
  /** Partition key. */
  readonly userId: string;
  /** Id before login, when both are known. */
  readonly anonymousId: string | null;
  /** Event time, ms since epoch, clamped to receivedAt + tolerance. */
  readonly ts: number;
  /** When the edge took it, ms since epoch. */
  readonly receivedAt: number;
  /** Local time minus UTC, minutes. */
  readonly utcOffset: number | null;
  /** Which source wrote it. */
  readonly producerId: string;
  /** Explicit session; wins over the gap. */
  readonly sessionId: string | null;
  readonly stage: ImpressionStage;
  readonly requestId: string;
  readonly placement: string;
  readonly slate: readonly SlateItem[];
  readonly eligibleCount: number | null;
  readonly versions: Versions | null;
  readonly assignments: readonly Assignment[];
  readonly consent: Consent | null;
  readonly context: Context | null;
}

export interface ImpressionDraft {
  readonly eventId: string;
  readonly userId: string;
  readonly anonymousId?: string | null | undefined;
  readonly ts: number;
  readonly receivedAt: number;
  readonly utcOffset?: number | null | undefined;
  readonly producerId: string;
  readonly sessionId?: string | null | undefined;
  readonly stage: ImpressionStage;
  readonly requestId: string;
  readonly placement: string;
  readonly slate: readonly SlateItemDraft[];
  readonly eligibleCount?: number | null | undefined;
  readonly versions?: VersionsDraft | null | undefined;
  readonly assignments?: readonly AssignmentDraft[] | undefined;
  readonly consent?: ConsentDraft | null | undefined;
  readonly context?: ContextDraft | null | undefined;
}

/** The recommendation an interaction answers. */
export interface Attribution {
  readonly requestId: string;
  readonly placement: string | null;
  /** 0-based place in the slate */
  readonly position: number | null;
  /** probability with which the policy put the item there */
  readonly propensity: number | null;
  /** how many items could have been chosen */
  readonly eligibleCount: number | null;
  readonly versions: Versions | null;
  readonly assignments: readonly Assignment[];
}

export interface AttributionDraft {
  readonly requestId: string;
  readonly placement?: string | null | undefined;
  readonly position?: number | null | undefined;
  readonly propensity?: number | null | undefined;
  readonly eligibleCount?: number | null | undefined;
  readonly versions?: VersionsDraft | null | undefined;
  readonly assignments?: readonly AssignmentDraft[] | undefined;
}

/** A person did something with an item. */
export interface Interaction {
  readonly kind: 'Interaction';
  /** Idempotence key, unique per producer's event. */
  readonly eventId: string;
  /** Partition key. */
  readonly userId: string;
  /** Id before login, when both are known. */
  readonly anonymousId: string | null;
  /** Event time, ms since epoch, clamped to receivedAt + tolerance. */
  readonly ts: number;
  /** When the edge took it, ms since epoch. */
  readonly receivedAt: number;
  /** Local time minus UTC, minutes. */
  readonly utcOffset: number | null;
  /** Which source wrote it. */
  readonly producerId: string;
  /** Explicit session; wins over the gap. */
  readonly sessionId: string | null;
  readonly type: InteractionType;
  readonly itemId: string;
  /** Price paid, rating given, ... */
  readonly value: number | null;
  /** ISO 4217 */
  readonly currency: string | null;
  readonly quantity: number | null;
  readonly dwellMs: number | null;
  readonly consent: Consent | null;
  readonly context: Context | null;
  readonly attribution: Attribution | null;
}

export interface InteractionDraft {
  readonly eventId: string;
  readonly userId: string;
  readonly anonymousId?: string | null | undefined;
  readonly ts: number;
  readonly receivedAt: number;
  readonly utcOffset?: number | null | undefined;
  readonly producerId: string;
  readonly sessionId?: string | null | undefined;
  readonly type: InteractionType;
  readonly itemId: string;
  readonly value?: number | null | undefined;
  readonly currency?: string | null | undefined;
  readonly quantity?: number | null | undefined;
  readonly dwellMs?: number | null | undefined;
  readonly consent?: ConsentDraft | null | undefined;
  readonly context?: ContextDraft | null | undefined;
  readonly attribution?: AttributionDraft | null | undefined;
}

/** Table value: what the catalogue says of an item; deleted items keep a tombstone. */
export interface ItemCatalogueState {
  readonly kind: 'ItemCatalogueState';
  readonly itemId: string;
  /** Offset in item-events that wrote it. */
  readonly version: number;
  readonly deleted: boolean;
  readonly title: string | null;
  readonly description: string | null;
  readonly categories: readonly string[];
  readonly brand: string | null;
  readonly tags: readonly string[];
  readonly price: number | null;
  readonly currency: string | null;
  readonly available: boolean;
  readonly publishedAt: number | null;
  readonly imageUrl: string | null;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ItemCatalogueStateDraft {
  readonly itemId: string;
  readonly version: number;
  readonly deleted: boolean;
  readonly title?: string | null | undefined;
  readonly description?: string | null | undefined;
  readonly categories?: readonly string[] | undefined;
  readonly brand?: string | null | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly price?: number | null | undefined;
  readonly currency?: string | null | undefined;
  readonly available?: boolean | undefined;
  readonly publishedAt?: number | null | undefined;
  readonly imageUrl?: string | null | undefined;
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** Table value: decayed exposures and attributed clicks, by position bucket. */
export interface ItemCtrState {
  readonly kind: 'ItemCtrState';
  readonly itemId: string;
  readonly version: number;
  readonly refTime: number;
  readonly exposures: number;
  readonly clicks: number;
  /** Exposures discounted by the position's examination prior. */
  readonly weightedExposures: number;
}

export interface ItemCtrStateDraft {
  readonly itemId: string;
  readonly version: number;
  readonly refTime: number;
  readonly exposures: number;
  readonly clicks: number;
  readonly weightedExposures: number;
}

/** An item left the catalogue. */
export interface ItemDelete {
  readonly kind: 'ItemDelete';
  readonly eventId: string;
  readonly itemId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly producerId: string;
}

export interface ItemDeleteDraft {
  readonly eventId: string;
  readonly itemId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly producerId: string;
}

/** Table value: the item's vector in one space. */
export interface ItemEmbeddingState {
  readonly kind: 'ItemEmbeddingState';
  readonly itemId: string;
  readonly version: number;
  readonly space: string;
  /** Little-endian f32. */
  readonly vector: Buffer;
  /** Gradient steps taken. */
  readonly updates: number;
}

export interface ItemEmbeddingStateDraft {
  readonly itemId: string;
  readonly version: number;
  readonly space: string;
  readonly vector: Buffer;
  readonly updates: number;
}

/** Stage 1 tells an item that it was viewed in a slate. */
export interface ItemExposure {
  readonly kind: 'ItemExposure';
  readonly itemId: string;
  readonly ts: number;
  readonly position: number;
  readonly placement: string;
}

export interface ItemExposureDraft {
  readonly itemId: string;
  readonly ts: number;
  readonly position: number;
  readonly placement: string;
}

/** Stage 1 tells an item that it was interacted with. */
export interface ItemInteraction {
  readonly kind: 'ItemInteraction';
  readonly itemId: string;
  readonly ts: number;
  readonly type: InteractionType;
  /** Strength of the event type; negative for dislike. */
  readonly weight: number;
  /** 53-bit hash of (user, session). */
  readonly sessionRef: number;
  /** Of the item, when stage 1 knows them. */
  readonly categories: readonly string[];
  /** Bounded list such as device/phone, country/BR. */
  readonly segments: readonly string[];
  /** Answers a recommendation. */
  readonly attributed: boolean;
  /** Embedding space of userVector. */
  readonly space: string | null;
  /** User embedding: f32 scale, then one signed byte a dimension. */
  readonly userVector: Buffer | null;
}

export interface ItemInteractionDraft {
  readonly itemId: string;
  readonly ts: number;
  readonly type: InteractionType;
  readonly weight: number;
  readonly sessionRef: number;
  readonly categories?: readonly string[] | undefined;
  readonly segments?: readonly string[] | undefined;
  readonly attributed?: boolean | undefined;
  readonly space?: string | null | undefined;
  readonly userVector?: Buffer | null | undefined;
}

/** One neighbour with its decayed weight at refTime. */
export interface Neighbour {
  readonly itemId: string;
  readonly weight: number;
}

export interface NeighbourDraft {
  readonly itemId: string;
  readonly weight: number;
}

/** Table value: the strongest co-visited items. */
export interface ItemNeighboursState {
  readonly kind: 'ItemNeighboursState';
  readonly itemId: string;
  readonly version: number;
  readonly refTime: number;
  /** Decayed sum over all pairs, for normalisation. */
  readonly total: number;
  /** Strongest first. */
  readonly neighbours: readonly Neighbour[];
}

export interface ItemNeighboursStateDraft {
  readonly itemId: string;
  readonly version: number;
  readonly refTime: number;
  readonly total: number;
  readonly neighbours: readonly NeighbourDraft[];
}

/** Stage 1 tells an item which other item was met with it in one session. */
export interface ItemPair {
  readonly kind: 'ItemPair';
  readonly itemId: string;
  readonly otherItemId: string;
  readonly ts: number;
  /** Strength times positional decay. */
  readonly weight: number;
  /** The other came after this one. */
  readonly following: boolean;
}

export interface ItemPairDraft {
  readonly itemId: string;
  readonly otherItemId: string;
  readonly ts: number;
  readonly weight: number;
  readonly following: boolean;
}

/** Decayed counts of one segment. */
export interface SegmentCounts {
  readonly segment: string;
  readonly refTime: number;
  /** One a half-life. */
  readonly counts: readonly number[];
}

export interface SegmentCountsDraft {
  readonly segment: string;
  readonly refTime: number;
  readonly counts: readonly number[];
}

/** Table value: exponentially decayed counts, valid at refTime. */
export interface ItemPopularityState {
  readonly kind: 'ItemPopularityState';
  readonly itemId: string;
  readonly version: number;
  /** ms since epoch */
  readonly refTime: number;
  /** One a half-life, in the configured order. */
  readonly counts: readonly number[];
  readonly segments: readonly SegmentCounts[];
}

export interface ItemPopularityStateDraft {
  readonly itemId: string;
  readonly version: number;
  readonly refTime: number;
  readonly counts: readonly number[];
  readonly segments?: readonly SegmentCountsDraft[] | undefined;
}

/** A session that met the item. */
export interface SessionRef {
  readonly sessionRef: number;
  readonly ts: number;
}

export interface SessionRefDraft {
  readonly sessionRef: number;
  readonly ts: number;
}

/** Table value: one block of the ring of sessions that met the item. */
export interface ItemSessionsState {
  readonly kind: 'ItemSessionsState';
  readonly itemId: string;
  readonly version: number;
  /** Ring block; part of the record's key. */
  readonly block: number;
  /** Oldest first. */
  readonly sessions: readonly SessionRef[];
}

export interface ItemSessionsStateDraft {
  readonly itemId: string;
  readonly version: number;
  readonly block: number;
  readonly sessions: readonly SessionRefDraft[];
}

/** An item was created or replaced in the catalogue. */
export interface ItemUpsert {
  readonly kind: 'ItemUpsert';
  readonly eventId: string;
  readonly itemId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly producerId: string;
  readonly title: string | null;
  readonly description: string | null;
  /** Most specific first. */
  readonly categories: readonly string[];
  readonly brand: string | null;
  readonly tags: readonly string[];
  readonly price: number | null;
  readonly currency: string | null;
  readonly available: boolean;
  readonly publishedAt: number | null;
  readonly imageUrl: string | null;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ItemUpsertDraft {
  readonly eventId: string;
  readonly itemId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly producerId: string;
  readonly title?: string | null | undefined;
  readonly description?: string | null | undefined;
  readonly categories?: readonly string[] | undefined;
  readonly brand?: string | null | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly price?: number | null | undefined;
  readonly currency?: string | null | undefined;
  readonly available?: boolean | undefined;
  readonly publishedAt?: number | null | undefined;
  readonly imageUrl?: string | null | undefined;
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** A model version is available. */
export interface ModelPublished {
  readonly kind: 'ModelPublished';
  readonly name: string;
  readonly version: string;
  /** JSON */
  readonly manifest: string;
  /** SHA-256, hex */
  readonly checksum: string;
  /** Ed25519, base64 */
  readonly signature: string;
  readonly publishedAt: number;
}

export interface ModelPublishedDraft {
  readonly name: string;
  readonly version: string;
  readonly manifest: string;
  readonly checksum: string;
  readonly signature: string;
  readonly publishedAt: number;
}

/** What came of one viewed place. */
export interface Outcome {
  readonly itemId: string;
  /** 0-based */
  readonly position: number;
  readonly propensity: number | null;
  /** Sum of the feedback's reward weights, clipped to [-1, 1]. */
  readonly reward: number;
  readonly feedback: readonly InteractionType[];
}

export interface OutcomeDraft {
  readonly itemId: string;
  readonly position: number;
  readonly propensity?: number | null | undefined;
  readonly reward: number;
  readonly feedback: readonly InteractionType[];
}

/** A viewed slate joined with the feedback that followed within the delay. */
export interface Reward {
  readonly kind: 'Reward';
  readonly userId: string;
  readonly requestId: string;
  readonly placement: string;
  readonly viewedAt: number;
  readonly settledAt: number;
  /** Every viewed place, with or without feedback. */
  readonly outcomes: readonly Outcome[];
  readonly eligibleCount: number | null;
  readonly versions: Versions | null;
  readonly assignments: readonly Assignment[];
  readonly context: Context | null;
}

export interface RewardDraft {
  readonly userId: string;
  readonly requestId: string;
  readonly placement: string;
  readonly viewedAt: number;
  readonly settledAt: number;
  readonly outcomes: readonly OutcomeDraft[];
  readonly eligibleCount?: number | null | undefined;
  readonly versions?: VersionsDraft | null | undefined;
  readonly assignments?: readonly AssignmentDraft[] | undefined;
  readonly context?: ContextDraft | null | undefined;
}

/** A session ended, or was corrected by a late record (revision > 0). */
export interface SessionClosed {
  readonly kind: 'SessionClosed';
  readonly userId: string;
  readonly sessionId: string;
  readonly revision: number;
  readonly start: number;
  readonly end: number;
  readonly durationMs: number;
  readonly pageViews: number;
  readonly interactions: number;
  readonly conversions: number;
  readonly bounced: boolean;
  readonly lastItems: readonly string[];
  readonly categories: readonly string[];
  /** Merged into another session: readers drop it. */
  readonly withdrawn: boolean;
}

export interface SessionClosedDraft {
  readonly userId: string;
  readonly sessionId: string;
  readonly revision: number;
  readonly start: number;
  readonly end: number;
  readonly durationMs: number;
  readonly pageViews: number;
  readonly interactions: number;
  readonly conversions: number;
  readonly bounced: boolean;
  readonly lastItems: readonly string[];
  readonly categories: readonly string[];
  readonly withdrawn?: boolean | undefined;
}

/** One operator's state for a key, as stored. */
export interface Cell {
  readonly operator: string;
  /** schema version of the bytes */
  readonly version: number;
  readonly bytes: Buffer;
}

export interface CellDraft {
  readonly operator: string;
  readonly version: number;
  readonly bytes: Buffer;
}

/** The state of an id that became another, on its way to the new key. */
export interface StateMerge {
  readonly kind: 'StateMerge';
  readonly eventId: string;
  /** Partition key: the id that receives the state. */
  readonly userId: string;
  /** Ids already visited, oldest first; detects cycles. */
  readonly path: readonly string[];
  readonly ts: number;
  readonly receivedAt: number;
  readonly cells: readonly Cell[];
}

export interface StateMergeDraft {
  readonly eventId: string;
  readonly userId: string;
  readonly path: readonly string[];
  readonly ts: number;
  readonly receivedAt: number;
  readonly cells: readonly CellDraft[];
}

/** Event time moved on an idle partition because a timer was due. */
export interface Tick {
  readonly kind: 'Tick';
  readonly ts: number;
  /** The owner that wrote it; ticks of fenced owners are ignored. */
  readonly ownerToken: string;
}

export interface TickDraft {
  readonly ts: number;
  readonly ownerToken: string;
}

/** A user's profile was created or replaced. */
export interface UserUpsert {
  readonly kind: 'UserUpsert';
  readonly eventId: string;
  readonly userId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly producerId: string;
  readonly segments: readonly string[];
  readonly traits: Readonly<Record<string, string>>;
  readonly consent: Consent | null;
}

export interface UserUpsertDraft {
  readonly eventId: string;
  readonly userId: string;
  readonly ts: number;
  readonly receivedAt: number;
  readonly producerId: string;
  readonly segments?: readonly string[] | undefined;
  readonly traits?: Readonly<Record<string, string>> | undefined;
  readonly consent?: ConsentDraft | null | undefined;
}

export const RECORD_KINDS = [
  'Control',
  'DeadLetter',
  'Erase',
  'FeedHint',
  'Forwarded',
  'Identify',
  'Impression',
  'Interaction',
  'ItemCatalogueState',
  'ItemCtrState',
  'ItemDelete',
  'ItemEmbeddingState',
  'ItemExposure',
  'ItemInteraction',
  'ItemNeighboursState',
  'ItemPair',
  'ItemPopularityState',
  'ItemSessionsState',
  'ItemUpsert',
  'ModelPublished',
  'Reward',
  'SessionClosed',
  'StateMerge',
  'Tick',
  'UserUpsert',
] as const;
/** Name of a top-level record: what a topic may hold. */
export type RecordKind = (typeof RECORD_KINDS)[number];

export interface RecordByKind {
  Control: Control;
  DeadLetter: DeadLetter;
  Erase: Erase;
  FeedHint: FeedHint;
  Forwarded: Forwarded;
  Identify: Identify;
  Impression: Impression;
  Interaction: Interaction;
  ItemCatalogueState: ItemCatalogueState;
  ItemCtrState: ItemCtrState;
  ItemDelete: ItemDelete;
  ItemEmbeddingState: ItemEmbeddingState;
  ItemExposure: ItemExposure;
  ItemInteraction: ItemInteraction;
  ItemNeighboursState: ItemNeighboursState;
  ItemPair: ItemPair;
  ItemPopularityState: ItemPopularityState;
  ItemSessionsState: ItemSessionsState;
  ItemUpsert: ItemUpsert;
  ModelPublished: ModelPublished;
  Reward: Reward;
  SessionClosed: SessionClosed;
  StateMerge: StateMerge;
  Tick: Tick;
  UserUpsert: UserUpsert;
}

export interface DraftByKind {
  Control: ControlDraft;
  DeadLetter: DeadLetterDraft;
  Erase: EraseDraft;
  FeedHint: FeedHintDraft;
  Forwarded: ForwardedDraft;
  Identify: IdentifyDraft;
  Impression: ImpressionDraft;
  Interaction: InteractionDraft;
  ItemCatalogueState: ItemCatalogueStateDraft;
  ItemCtrState: ItemCtrStateDraft;
  ItemDelete: ItemDeleteDraft;
  ItemEmbeddingState: ItemEmbeddingStateDraft;
  ItemExposure: ItemExposureDraft;
  ItemInteraction: ItemInteractionDraft;
  ItemNeighboursState: ItemNeighboursStateDraft;
  ItemPair: ItemPairDraft;
  ItemPopularityState: ItemPopularityStateDraft;
  ItemSessionsState: ItemSessionsStateDraft;
  ItemUpsert: ItemUpsertDraft;
  ModelPublished: ModelPublishedDraft;
  Reward: RewardDraft;
  SessionClosed: SessionClosedDraft;
  StateMerge: StateMergeDraft;
  Tick: TickDraft;
  UserUpsert: UserUpsertDraft;
}

/** Any decoded record; branch on `kind`. */
export type AnyRecord = RecordByKind[RecordKind];
