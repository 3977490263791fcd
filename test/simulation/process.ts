/**
 * One simulated process: everything it asks of the world takes time, may fail, and ends when the process dies.
 *
 *   running ──pause──> paused ──resume──> running          replies and timers of a paused process wait for it
 *      └────────crash──────┴──> dead                       its pending promises never settle
 *
 * A call travels to its server, takes effect there, and its reply travels back: the process can die at each of the
 * three places, the request can be lost, the reply can be lost, and the effect can come after the caller gave up.
 */
import type { Clock, TimerHandle } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';
import type { FaultPlan } from './faults.js';
import type { Scheduler } from './scheduler.js';

/** The world that processes share. */
export interface Network {
  readonly scheduler: Scheduler;
  readonly faults: FaultPlan;
  readonly random: Random;
  /** Longest one-way delay of a usual call, ms. */
  readonly delayMsMax: number;
}

/** A reply that did not come, as a client library reports it: the outcome is unknown. */
export class ConnectionLost extends Error {}

export interface CallOptions {
  /** The effect may come after the caller has given up. */
  readonly mayBeLate?: boolean;
  /** It does, and much later. */
  readonly isLate?: boolean;
  /** Takes effect after all earlier ordered calls of this process, unless those came late. */
  readonly isOrdered?: boolean;
  /** The process freezes while its request is on the way, and is taken for dead. */
  readonly isStuck?: boolean;
  /** Whom it asks: may be cut off from it. */
  readonly server?: Server;
}

export const SERVERS = ['log', 'store', 'group'] as const;
export type Server = (typeof SERVERS)[number];

/** A caller that gives up does so after this long; the effect may come up to twice as late. */
const GIVE_UP_MS = 120;
/** What comes late on purpose comes as late as from a process that stood still. */
export const VERY_LATE_MS = 1_500;
/** A frozen process stands still for at most this long. */
const STUCK_MS_MAX = 900;

export class Process implements Clock {
  alive = true;
  paused = false;
  /** How far this machine's wall clock is off, ms. */
  clockSkewMs = 0;
  /** Called when the process freezes in the middle of a call, with the time it will stand still. */
  onStuck: (ms: number) => void = () => undefined;
  /** Servers that this process does not reach at present, and that do not hear of it. */
  readonly cutFrom = new Set<Server>();
  private isSevered = false;
  /** When the latest ordered call takes effect. */
  private orderedAtMs = 0;
  private readonly held: (() => void)[] = [];

  constructor(
    readonly name: string,
    private readonly network: Network,
    /** Called once, when the process dies by a fault of its own. */
    private readonly onCrash: () => void,
    /** Processes that stand for the outside world do not crash. */
    private readonly canCrash = true,
  ) {}

  /** Runs `reaction` in this process: now, when it is resumed, or never. */
  deliver(reaction: () => void): void {
    if (!this.alive) return;
    if (this.paused) this.held.push(reaction);
    else reaction();
  }

  deliverAfter(ms: number, reaction: () => void): void {
    this.network.scheduler.after(ms, () => this.deliver(reaction));
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    for (const reaction of this.held.splice(0)) this.deliver(reaction);
  }

  /** Dies. What it has sent may still arrive, unless it dies together with the server. */
  kill({ together = false } = {}): void {
    this.alive = false;
    this.isSevered = together;
    this.held.length = 0;
  }

  /** Asks for `effect`, which happens at one instant somewhere else. */
  call<T>(
    effect: () => T,
    { mayBeLate = false, isLate = false, isOrdered = false, isStuck = false, server }: CallOptions = {},
  ): Promise<T> {
    const { scheduler, faults } = this.network;
    return new Promise<T>((resolve, reject) => {
      if (!this.alive) return;
      if (this.crashes('crashBeforeRequest')) return;
      const reply = (reaction: () => void): void => this.deliverAfter(this.delay(), reaction);
      const fail = (what: string): void => reply(() => reject(new ConnectionLost(what)));
      const isCut = (): boolean => server !== undefined && this.cutFrom.has(server);
      const giveUp = (): void => this.deliverAfter(GIVE_UP_MS, () => reject(new ConnectionLost('unreachable')));
      if (isCut()) return giveUp();
      let travelMs = this.delay();
      let isGivenUp = false;
      if (isLate || (mayBeLate && faults.strikes('lateEffect'))) {
        isGivenUp = true;
        this.deliverAfter(GIVE_UP_MS, () => reject(new ConnectionLost('timed out')));
        travelMs += (isLate ? VERY_LATE_MS : GIVE_UP_MS * 2) * this.network.random.float();
      }
      if (isStuck) {
        travelMs += this.network.random.int(STUCK_MS_MAX);
        this.onStuck(travelMs);
      }
      if (isOrdered && !isGivenUp) {
        this.orderedAtMs = Math.max(this.orderedAtMs, scheduler.elapsedMs + travelMs);
        travelMs = this.orderedAtMs - scheduler.elapsedMs;
      }
      scheduler.after(travelMs, () => {
        if (this.isSevered) return;
        this.crashes('crashInFlight');
        if (!this.alive && faults.strikes('requestLostWithSender')) return;
        if (isCut()) return isGivenUp ? undefined : giveUp();
        if (!isGivenUp && faults.strikes('failedBeforeEffect')) return fail('refused');
        let value: T;
        try {
          value = effect();
        } catch (thrown) {
          const error = thrown instanceof Error ? thrown : new Error(String(thrown));
          if (!isGivenUp) reply(() => reject(error));
          return;
        }
        this.crashes('crashAfterEffect');
        if (isGivenUp) return;
        if (faults.strikes('replyLost')) fail('reply lost');
        else reply(() => resolve(value));
      });
    });
  }

  private crashes(kind: 'crashBeforeRequest' | 'crashInFlight' | 'crashAfterEffect'): boolean {
    if (!this.alive || !this.canCrash || !this.network.faults.strikes(kind)) return false;
    this.kill();
    this.onCrash();
    return true;
  }

  private delay(): number {
    return this.network.random.int(this.network.delayMsMax + 1);
  }

  now(): number {
    return this.network.scheduler.now() + this.clockSkewMs;
  }

  monotonic(): number {
    return this.network.scheduler.elapsedMs;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.setTimer(ms, resolve));
  }

  setTimer(ms: number, callback: () => void): TimerHandle {
    let isOpen = true;
    this.deliverAfter(ms, () => {
      if (isOpen) callback();
    });
    return {
      cancel: () => {
        isOpen = false;
      },
    };
  }

  setInterval(ms: number, callback: () => void): TimerHandle {
    let handle = this.setTimer(ms, fire.bind(this));
    function fire(this: Process): void {
      handle = this.setTimer(ms, fire.bind(this));
      callback();
    }
    return { cancel: () => handle.cancel() };
  }

  /** Other work gets a turn; also a place to die. */
  nextTurn(): Promise<void> {
    return this.sleep(0);
  }
}
