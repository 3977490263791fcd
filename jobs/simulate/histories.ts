/**
 * What people of a simulated world remember: visits, whether they have logged in, the items met last.
 *
 * The only part of the simulation that changes, apart from visits under way. Bounded: a fixed number of bytes a person.
 */
import type { World } from './world.js';

/** Items remembered a person; older ones are as good as new. */
const MET_MAX = 32;

export class Histories {
  private readonly visits: Uint32Array;
  private readonly known: Uint8Array;
  private readonly present: Uint8Array;
  private readonly met: Int32Array;
  private readonly metNext: Uint8Array;

  constructor(private readonly world: World) {
    const n = world.people.count;
    this.visits = new Uint32Array(n);
    this.known = Uint8Array.from({ length: n }, (_, person) => (world.people.startsAnonymous(person) ? 0 : 1));
    this.present = new Uint8Array(n);
    this.met = new Int32Array(n * MET_MAX).fill(-1);
    this.metNext = new Uint8Array(n);
  }

  /** Counts a visit and returns its number, the first being 1. */
  arrive(person: number): number {
    this.present[person] = 1;
    return (this.visits[person] = this.visits[person]! + 1);
  }

  leave(person: number): void {
    this.present[person] = 0;
  }

  isPresent(person: number): boolean {
    return this.present[person] === 1;
  }

  /** Whether the person acts under an account. */
  isKnown(person: number): boolean {
    return this.known[person] === 1;
  }

  logIn(person: number): void {
    this.known[person] = 1;
  }

  /** The id that the person acts under at present. */
  idOf(person: number): string {
    const { people } = this.world;
    return this.isKnown(person) ? people.knownIdOf(person) : people.anonymousIdOf(person);
  }

  meet(person: number, item: number): void {
    if (this.hasMet(person, item)) return;
    const next = this.metNext[person]!;
    this.met[person * MET_MAX + next] = item;
    this.metNext[person] = (next + 1) % MET_MAX;
  }

  hasMet(person: number, item: number): boolean {
    const from = person * MET_MAX;
    for (let i = from; i < from + MET_MAX; i++) if (this.met[i] === item) return item >= 0;
    return false;
  }
}
