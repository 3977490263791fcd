/**
 * Work that nobody waits for gives way to work that somebody waits for, on the one event loop they share.
 *
 *   background: slice ──nextTurn()──▶ waits ──▶ slice …
 *                                      └─ until others ran so many times as long as the slice took, or had nothing to run
 *
 * Each background worker is handed a clock of its own, whose `nextTurn` waits as long as the loop is busy with others, at
 * most in proportion to what the worker used since its last turn: sixty times as long while it has kept up with its input
 * lately, so that others first catch up with what they were kept from, by a collection for instance; six times once it is
 * behind. So a busy loop leaves background work a seventh of its time where it needs that, never nothing; an idle one all of
 * it. A turn in which hardly anything ran tells that the loop is idle: those who wait for a disk or a socket then find it
 * free within one slice.
 *
 * Turns are given one after another, in the order in which they were asked for: in one line to those that keep up, in
 * another to those that are behind, which would else wait as long as the former. Works on any Clock; decides nothing but when
 * work is done.
 */
import type { Clock, TimerHandle } from './clock.js';

/** Time of others for each ms of background work. */
const OTHERS_SHARE = { behind: 6, keepingUp: 60 } as const;
type Standing = keyof typeof OTHERS_SHARE;
/** A turn of the loop that took less had nothing to do, ms. */
const IDLE_TURN_MS = 0.25;
/** Work that was not through with its input for so long is behind, ms. */
const BEHIND_AFTER_MS = 5_000;
/** One that waited for a server meanwhile did not work all the time: no more than this is charged, ms. */
const CHARGED_MS_MAX = 10;

export class Politeness {
  private readonly lines: Record<Standing, Promise<void>> = { behind: Promise.resolve(), keepingUp: Promise.resolve() };
  /** All that background work has been charged for, ms. */
  private chargedMs = 0;

  constructor(private readonly clock: Clock) {}

  /** The clock of one background worker, which is behind as long as it does not tell `caughtUp`. Several chains of slices may share one; each is then charged for less. */
  backgroundClock(): Required<Clock> {
    return new BackgroundClock(this.clock, (ms, standing) => this.giveWay(ms, standing));
  }

  private giveWay(usedMs: number, standing: Standing): Promise<void> {
    this.chargedMs += usedMs;
    const given = this.lines[standing].then(() => this.waitForOthers(usedMs * OTHERS_SHARE[standing]));
    this.lines[standing] = given;
    return given;
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

class BackgroundClock implements Required<Clock> {
  private resumedMs: number;
  private caughtUpMs = -Infinity;

  constructor(
    private readonly clock: Clock,
    private readonly giveWay: (usedMs: number, standing: Standing) => Promise<void>,
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

  async nextTurn(usedMs = this.clock.monotonic() - this.resumedMs): Promise<void> {
    const now = this.clock.monotonic();
    const isBehind = now - this.caughtUpMs > BEHIND_AFTER_MS;
    await this.giveWay(Math.min(usedMs, CHARGED_MS_MAX), isBehind ? 'behind' : 'keepingUp');
    this.resumedMs = this.clock.monotonic();
  }

  caughtUp(): void {
    this.caughtUpMs = this.clock.monotonic();
  }
}
