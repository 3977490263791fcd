/**
 * Who comes when, and all visits under way, as one sequence of steps in order of the world's time.
 *
 * People arrive as a Poisson process: candidates come at the rate of everybody together at the busiest hour, each is a
 * person drawn by activity, and is let in with the probability that it is about at its local hour (thinning; Lewis and
 * Shedler, 1979). Nobody visits twice at once, so at most as many visits are under way as there are people.
 *
 * A visit that asked for a slate stands outside of the sequence until it is answered; time goes on without it.
 */
import type { Random } from '../../streams/random.js';
import { playVisit, type Act, type Ask, type BehaviourOptions, type ShownSlate, type Visit } from './behaviour.js';
import type { Histories } from './histories.js';
import { MEAN_WAKEFULNESS } from './people.js';
import { drawFromSums, sumsOf } from './weighted-draw.js';
import type { World } from './world.js';

const DAY_MS = 86_400_000;

/** A visit that waits: for its next step's time, or for a slate. */
export interface PendingVisit {
  readonly visit: Visit;
  /** What it does next; only `Visits` moves it on. */
  step: Ask | Act;
  dueAt: number;
  readonly order: number;
  readonly script: Generator<Ask | Act, void, ShownSlate | undefined>;
}

export interface VisitsOptions {
  readonly runId: string;
  readonly random: Random;
  readonly behaviour?: BehaviourOptions | undefined;
}

export class Visits {
  /** The world's time, ms since epoch; never goes back. */
  now: number;
  started = 0;
  private readonly heap: PendingVisit[] = [];
  private readonly activity: Float64Array;
  private readonly arrivalsPerMs: number;
  private readonly arrivals: Random;
  private nextArrivalAt: number;

  constructor(
    private readonly world: World,
    private readonly histories: Histories,
    private readonly options: VisitsOptions,
  ) {
    this.now = world.startMs;
    this.activity = sumsOf(world.people.activity);
    this.arrivals = options.random.stream('arrivals');
    // Activity is an average over the hours; candidates come as in the busiest one.
    this.arrivalsPerMs = this.activity[this.activity.length - 1]! / MEAN_WAKEFULNESS / DAY_MS;
    this.nextArrivalAt = this.now + this.gap();
  }

  /** The next visit that does something. Its step is to be carried out, then `resume` to be called. */
  next(): PendingVisit {
    for (;;) {
      const first = this.heap[0];
      if (first !== undefined && first.dueAt <= this.nextArrivalAt) {
        removeFirst(this.heap);
        this.moveTo(first.dueAt);
        return first;
      }
      this.moveTo(this.nextArrivalAt);
      this.nextArrivalAt += this.gap();
      this.maybeAdmit();
    }
  }

  /** Goes on after the step was carried out; `slate` answers an ask. */
  resume(pending: PendingVisit, slate?: ShownSlate): void {
    const { value, done } = pending.script.next(slate);
    if (done === true) {
      this.histories.leave(pending.visit.person);
      return;
    }
    pending.step = value;
    pending.dueAt = Math.max(value.at, this.now);
    insert(this.heap, pending);
  }

  private moveTo(at: number): void {
    this.now = Math.max(this.now, at);
    this.world.demand.moveTo(this.now);
  }

  private gap(): number {
    return -Math.log(1 - this.arrivals.float()) / this.arrivalsPerMs;
  }

  private maybeAdmit(): void {
    const { people } = this.world;
    const person = drawFromSums(this.activity, 0, this.activity.length, this.arrivals);
    const isAbout = this.arrivals.float() < people.wakefulnessAt(person, this.now);
    if (!isAbout || this.histories.isPresent(person)) return;
    const order = this.started++;
    const visit: Visit = {
      person,
      nth: this.histories.arrive(person),
      startedAt: Math.round(this.now),
      sessionId: `${this.options.runId}-s${order}`,
      random: this.options.random.stream(`visit-${order}`),
    };
    const script = playVisit(this.world, this.histories, { visit, options: this.options.behaviour ?? {} });
    const first = script.next();
    if (first.done === true) this.histories.leave(person);
    else insert(this.heap, { visit, step: first.value, dueAt: first.value.at, order, script });
  }
}

const isBefore = (a: PendingVisit, b: PendingVisit): boolean =>
  a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order);

/** Binary heap, the earliest in front. */
function insert(heap: PendingVisit[], added: PendingVisit): void {
  let i = heap.length;
  while (i > 0) {
    const parent = (i - 1) >>> 1;
    if (!isBefore(added, heap[parent]!)) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = added;
}

function removeFirst(heap: PendingVisit[]): void {
  const moved = heap.pop()!;
  if (heap.length === 0) return;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, moved)) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = moved;
}
