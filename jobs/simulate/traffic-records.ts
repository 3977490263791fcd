/**
 * From acts of simulated people to encoded records, as the edge would have written them, and the count of what was made.
 *
 * The writer knows nothing of time and target: who drives it says when an act happens.
 */
import { encodeRecord } from '../../schemas/codec.js';
import type { ContextDraft } from '../../schemas/records.js';
import type { Act, InteractionAct, Page, ShownSlate, ViewedAct, Visit } from './behaviour.js';
import type { Histories } from './histories.js';
import type { World } from './world.js';

/** A record as it goes to the log: which of the two input streams, under which key. */
export interface TrafficRecord {
  readonly stream: 'user' | 'item';
  readonly key: string;
  readonly value: Buffer;
}

/** Records by kind, and their bytes (of values alone). */
export interface RecordCounts {
  items: number;
  interactions: number;
  /** Viewed ones. */
  impressions: number;
  /** Served ones: written here only when the slate was made here. */
  served: number;
  identifies: number;
  profiles: number;
  bytes: number;
}

const emptyCounts = (): RecordCounts => ({
  items: 0,
  interactions: 0,
  impressions: 0,
  served: 0,
  identifies: 0,
  profiles: 0,
  bytes: 0,
});

/** What people allow who have said so: the simulated ones allow everything. */
const CONSENT = { personalization: true, analytics: true };
const PRODUCER_ID = 'simulate';
const CATALOGUE_BATCH = 200;

export class RecordWriter {
  readonly counts = emptyCounts();
  private events = 0;

  /** @param runId part of all ids made here: two runs into the same log need two, or repeats are dropped as known. */
  constructor(
    private readonly world: World,
    private readonly histories: Histories,
    private readonly runId: string,
  ) {}

  writeItem(item: number, ts: number): TrafficRecord {
    const draft = this.world.catalogue.upsertOf(item, {
      ts,
      producerId: PRODUCER_ID,
      eventId: `${this.runId}-i${item}`,
    });
    this.counts.items++;
    return this.count('item', draft.itemId, encodeRecord('ItemUpsert', draft));
  }

  writeAct(visit: Visit, act: Act, ts: number): TrafficRecord {
    switch (act.kind) {
      case 'interaction':
        return this.writeInteraction(visit, act, ts);
      case 'viewed':
        return this.writeImpression(visit, { act, stage: 'viewed', ts });
      case 'identify':
        return this.writeIdentify(visit.person, ts);
      case 'profile':
        return this.writeProfile(visit.person, ts);
    }
  }

  /** The record that the edge writes when it serves a slate: for slates that it did not make. */
  writeServed(visit: Visit, slate: ShownSlate, { placement, ts }: { placement: string; ts: number }): TrafficRecord {
    return this.writeImpression(visit, { act: { slate, placement }, stage: 'served', ts });
  }

  /** Device and place of a person, on a page. */
  contextOf(person: number, page: Page): ContextDraft {
    const { device, os } = this.world.people.deviceOf(person);
    const { code, language } = this.world.people.countryOf(person);
    return { device, os, country: code, language, page };
  }

  private writeInteraction(visit: Visit, act: InteractionAct, ts: number): TrafficRecord {
    const { shown, value } = act;
    const isPriced = value !== undefined && act.type !== 'rate';
    this.counts.interactions++;
    const common = this.commonOf(visit);
    // Named one by one: spreading them costs more than encoding the record.
    const record = encodeRecord('Interaction', {
      eventId: common.eventId,
      userId: common.userId,
      anonymousId: common.anonymousId,
      ts,
      receivedAt: ts,
      utcOffset: common.utcOffset,
      producerId: PRODUCER_ID,
      sessionId: visit.sessionId,
      type: act.type,
      itemId: this.world.catalogue.ids[act.item]!,
      value: value ?? null,
      currency: isPriced ? 'EUR' : null,
      quantity: act.quantity ?? null,
      dwellMs: act.dwellMs ?? null,
      context: this.contextOf(visit.person, act.page),
      attribution:
        shown === undefined
          ? null
          : { requestId: shown.slate.requestId, placement: shown.placement, position: shown.position },
    });
    return this.count('user', common.userId, record);
  }

  private writeImpression(
    visit: Visit,
    impression: { act: Pick<ViewedAct, 'slate' | 'placement'>; stage: 'served' | 'viewed'; ts: number },
  ): TrafficRecord {
    const { act, stage, ts } = impression;
    if (stage === 'viewed') this.counts.impressions++;
    else this.counts.served++;
    const common = this.commonOf(visit);
    const record = encodeRecord('Impression', {
      eventId: common.eventId,
      userId: common.userId,
      anonymousId: common.anonymousId,
      ts,
      receivedAt: ts,
      utcOffset: common.utcOffset,
      producerId: PRODUCER_ID,
      sessionId: visit.sessionId,
      stage,
      requestId: act.slate.requestId,
      placement: act.placement,
      slate: act.slate.itemIds.map((itemId, position) => ({ itemId, position })),
      context: this.contextOf(visit.person, act.placement === 'item' ? 'item' : 'home'),
    });
    return this.count('user', common.userId, record);
  }

  private writeIdentify(person: number, ts: number): TrafficRecord {
    const { people } = this.world;
    const anonymousId = people.anonymousIdOf(person);
    const draft = { anonymousId, userId: people.knownIdOf(person), ts, receivedAt: ts, producerId: PRODUCER_ID };
    this.counts.identifies++;
    return this.count('user', anonymousId, encodeRecord('Identify', { eventId: this.nextId(), ...draft }));
  }

  private writeProfile(person: number, ts: number): TrafficRecord {
    const { people } = this.world;
    const userId = people.knownIdOf(person);
    const { code, language } = people.countryOf(person);
    this.counts.profiles++;
    const record = encodeRecord('UserUpsert', {
      eventId: this.nextId(),
      userId,
      ts,
      receivedAt: ts,
      producerId: PRODUCER_ID,
      segments: [people.activity[person]! >= 2 ? 'activity/regular' : 'activity/occasional'],
      traits: { country: code, language, device: people.deviceOf(person).device },
      consent: CONSENT,
    });
    return this.count('user', userId, record);
  }

  private commonOf({ person }: Visit) {
    const { people } = this.world;
    const isLinked = people.startsAnonymous(person) && this.histories.isKnown(person);
    return {
      eventId: this.nextId(),
      userId: this.histories.idOf(person),
      anonymousId: isLinked ? people.anonymousIdOf(person) : null,
      utcOffset: people.countryOf(person).utcOffset,
    };
  }

  private nextId(): string {
    return `${this.runId}-${this.events++}`;
  }

  private count(stream: 'user' | 'item', key: string, value: Buffer): TrafficRecord {
    this.counts.bytes += value.length;
    return { stream, key, value };
  }
}

/** The items that are out at the start of the world, in batches. */
export function* writeCatalogue(world: World, writer: RecordWriter, ts: number): Generator<TrafficRecord[], void> {
  const count = world.catalogue.publishedCount(world.startMs);
  for (let from = 0; from < count; from += CATALOGUE_BATCH) {
    const length = Math.min(CATALOGUE_BATCH, count - from);
    yield Array.from({ length }, (_, i) => writer.writeItem(from + i, ts));
  }
}
