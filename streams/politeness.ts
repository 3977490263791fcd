/**
 * Work that nobody waits for gives way to work that somebody waits for, on the one event loop they share.
 *
 *   background: slice ──nextTurn()──▶ waits ──▶ slice …
 *                                      └─ until others ran six times as long as the slice took, or had nothing to run
 *
 * Each background worker is handed a clock of its own, whose `nextTurn` waits as long as the loop is busy with others, at
 * most in proportion to what the worker used since its last turn. So a busy loop leaves background work a seventh of its
 * time, never nothing; an idle one all of it. A turn in which hardly anything ran tells that the loop is idle: those who
 * wait for a disk or a socket then find it free within one slice.
 *
 * Turns are given one after another, in the order in which they were asked for. Works on any Clock; decides nothing but
 * when work is done.
 */
import type { Clock, TimerHandle } from './clock.js';

/** Time of others for each ms of background work. */
const OTHERS_SHARE = 6;
/** A turn of the loop that took less had nothing to do, ms. */
const IDLE_TURN_MS = 0.25;
/** One that waited for a server meanwhile did not work all the time: no more than this is charged, ms. */
const CHARGED_MS_MAX = 10;

export class Politeness {
  private last: Promise<void> = Promise.resolve();
  /** All that background work has been charged for, ms. */
  private chargedMs = 0;

  constructor(private readonly clock: Clock) {}

  /** The clock of one background worker. Several chains of slices may share one; each is then charged for less. */
  backgroundClock(): Clock {
    return new BackgroundClock(this.clock, (ms) => this.giveWay(ms));
  }

  private giveWay(usedMs: number): Promise<void> {
    const charged = Math.min(usedMs, CHARGED_MS_MAX);
    this.chargedMs += charged;
    this.last = this.last.then(() => this.waitForOthers(charged * OTHERS_SHARE));
    return this.last;
  }

  private async waitForOthers(ms: number): Promise<void> {
    const { clock } = this;
    for (let owedMs = ms; ;) {
      const start = clock.monotonic();
      const chargedBefore = this.chargedMs;
      await clock.nextTurn();
      const tookMs = clock.monotonic() - start;
      owedMs -= Math.max(0, tookMs - (this.chargedMs - chargedBefore));
      if (owedMs <= 0 || tookMs < IDLE_TURN_MS) return;
    }
  }
}

class BackgroundClock implements Clock {
  private resumedMs: number;

  constructor(
    private readonly clock: Clock,
    private readonly giveWay: (usedMs: number) => Promise<void>,
  ) {
    this.resumedMs = clock.monotonic();
  }

  now(): number {
    return this.clock.now();
  }

  monotonic(): number {
    return this.clock.monotonic();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.clock.sleep(ms, signal);
  }

  setTimer(ms: number, callback: () => void): TimerHandle {
    return this.clock.setTimer(ms, callback);
  }

  setInterval(ms: number, callback: () => void): TimerHandle {
    return this.clock.setInterval(ms, callback);
  }

  async nextTurn(): Promise<void> {
    await this.giveWay(this.clock.monotonic() - this.resumedMs);
    this.resumedMs = this.clock.monotonic();
  }
}
