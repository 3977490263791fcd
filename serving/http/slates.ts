/**
 * Slates that were served, kept a while: paging walks the frozen list, and `viewed` finds what was shown where.
 *
 * Bounded in number and age; two generations, so that the oldest leave together and nothing is sorted. A cursor is
 * the slate's id and a place in it; it holds no state of its own, and nothing in it needs to be secret.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { RankedList } from '../node/ports.js';

export interface ServedSlate {
  readonly slateId: string;
  readonly userId: string;
  readonly placement: string;
  readonly list: RankedList;
  readonly eligibleCount: number;
  /** Published models that took part: `model/NAME` -> version. */
  readonly models?: Readonly<Record<string, string>> | undefined;
  readonly leftOut?: readonly { readonly model: string; readonly why: string }[] | undefined;
  /** Version of the state it was made from. */
  readonly version: string;
  readonly createdAt: number;
}

export interface SlateLimits {
  readonly slatesMax: number;
  readonly ttlMs: number;
}

export class SlateCache {
  private young = new Map<string, ServedSlate>();
  private old = new Map<string, ServedSlate>();
  private turnedAt: number;

  constructor(
    private readonly limits: SlateLimits,
    private readonly clock: Clock,
  ) {
    this.turnedAt = clock.monotonic();
  }

  add(id: string, slate: ServedSlate): void {
    const { slatesMax, ttlMs } = this.limits;
    const now = this.clock.monotonic();
    if (this.young.size * 2 >= slatesMax || now - this.turnedAt >= ttlMs) {
      this.old = this.young;
      this.young = new Map();
      this.turnedAt = now;
    }
    this.young.set(id, slate);
  }

  get(id: string): ServedSlate | undefined {
    const slate = this.young.get(id) ?? this.old.get(id);
    return slate !== undefined && this.clock.now() - slate.createdAt <= this.limits.ttlMs ? slate : undefined;
  }
}

export interface Cursor {
  readonly slateId: string;
  readonly position: number;
}

export function encodeCursor({ slateId, position }: Cursor): string {
  return Buffer.from(`${position}:${slateId}`).toString('base64url');
}

/** @throws REQUEST_INVALID for what was never a cursor */
export function decodeCursor(text: string): Cursor {
  const decoded = /^(\d{1,6}):(.{1,256})$/.exec(Buffer.from(text, 'base64url').toString('utf8'));
  if (decoded === null) {
    throw new EngineError(
      'REQUEST_INVALID',
      `cursor is ${JSON.stringify(text.slice(0, 60))}; expected the cursor of an earlier answer`,
    );
  }
  return { slateId: decoded[2]!, position: Number(decoded[1]) };
}
