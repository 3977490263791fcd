/**
 * What a bench sends: a catalogue, a history, and events of people with tastes, from the simulator's seeded world, as
 * the JSON of the API. Popular items are popular here too: an even draw would flatter every cache.
 */
import { EngineError } from '../../schemas/errors.js';
import type { InteractionType } from '../../schemas/records.js';
import type { Random } from '../../streams/random.js';
import { createWorld, drawDepartment, type World } from '../simulate/world.js';
import type { Answer, HttpClient } from './load-http.js';

export interface LoadWorldOptions {
  readonly items: number;
  readonly users: number;
  readonly seed: string;
  readonly nowMs: number;
}

export interface HistoryOptions {
  readonly eventsPerUser: number;
  /** Users beyond this many have none. */
  readonly users: number;
}

const LIST_ENTRIES = 1_000;
const DAY_MS = 86_400_000;
/** Kinds of action in the usual proportions: mostly looking, seldom buying. */
const TYPES: readonly InteractionType[] = [
  ...Array<InteractionType>(12).fill('view'),
  ...Array<InteractionType>(5).fill('click'),
  ...(['like', 'share', 'purchase'] as const),
];

export class LoadWorld {
  readonly userIds: readonly string[];
  private readonly world: World;
  private readonly itemIds: readonly string[];
  private readonly departments = new Map<number, Float64Array>();
  private readonly random: Random;

  constructor(private readonly options: LoadWorldOptions) {
    const { items, users, seed, nowMs } = options;
    this.world = createWorld({
      ...{ seed, items, upcomingShare: 0, startMs: nowMs - DAY_MS },
      users: Math.max(10, users),
      pictureUrl: (itemId) => `https://pictures.example/${itemId}.jpg`,
    });
    this.random = this.world.stream('load');
    this.userIds = Array.from({ length: users }, (_, i) => `user-${i}`);
    this.itemIds = Array.from({ length: items }, (_, item) => this.upsertOf(item).itemId);
  }

  async loadCatalogue(http: HttpClient): Promise<void> {
    for (let from = 0; from < this.itemIds.length; from += LIST_ENTRIES) {
      const entries: string[] = [];
      for (let i = from; i < Math.min(from + LIST_ENTRIES, this.itemIds.length); i++) {
        const { receivedAt: _received, producerId: _producer, ...item } = this.upsertOf(i);
        entries.push(JSON.stringify(item));
      }
      requireTaken(await http.post('/v1/items', `[${entries.join()}]`));
    }
  }

  /** Events of the last day, in order of time. */
  async loadHistory(http: HttpClient, { eventsPerUser, users }: HistoryOptions): Promise<void> {
    const count = Math.min(users, this.userIds.length) * eventsPerUser;
    const startMs = this.options.nowMs - DAY_MS;
    for (let from = 0; from < count; from += LIST_ENTRIES) {
      const entries: string[] = [];
      for (let i = from; i < Math.min(from + LIST_ENTRIES, count); i++) {
        const ts = startMs + Math.floor((DAY_MS * i) / count);
        entries.push(this.event(Math.floor(i / eventsPerUser), `history-${i}`, ts));
      }
      requireTaken(await http.post('/v1/events', `[${entries.join()}]`));
    }
  }

  /** JSON of one act of a user. Without a time it happens when it arrives. */
  event(user: number, eventId: string, ts?: number): string {
    const time = ts === undefined ? '' : `,"ts":${ts}`;
    const item = this.itemIds[this.drawItem(user)]!;
    const type = TYPES[this.random.int(TYPES.length)]!;
    // Ids here are plain words: nothing needs escaping.
    return `{"eventId":"${eventId}","type":"${type}","userId":"${this.userIds[user]!}","itemId":"${item}"${time}}`;
  }

  randomUser(): number {
    return this.random.int(this.userIds.length);
  }

  /** Half by what the person likes, half by what everybody does. */
  private drawItem(user: number): number {
    const { world, random } = this;
    if (random.int(2) === 0) return world.demand.draw(random);
    let shares = this.departments.get(user);
    if (shares === undefined) {
      shares = world.tasteAt(user, this.options.nowMs).departments;
      this.departments.set(user, shares);
    }
    return world.demand.drawIn(drawDepartment(shares, random), random);
  }

  private upsertOf(item: number) {
    return this.world.catalogue.upsertOf(item, {
      ts: this.options.nowMs - DAY_MS,
      producerId: 'bench',
      eventId: `item-${item}`,
    });
  }
}

export function requireTaken({ status, body }: Answer): void {
  if (status < 300) return;
  throw new EngineError('REQUEST_INVALID', `The engine answered ${status}: ${body.toString('utf8', 0, 500)}`);
}
