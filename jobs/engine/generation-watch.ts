/**
 * Keeps a process that shares its engine with others on the generation in force, by looking at the layout.
 *
 *   layout says      the engine          is then
 *   closing          runs                held: takes nothing, gives its partitions back
 *   closing          is held             held; when the announcement has stood still for long, taken back: its author is dead
 *   not closing      is held             running again
 *   another number   runs or is held     held, gone over, running again
 *
 * One look at a time. What passes is tried again at the next look; what does not ends the process.
 */
import { isEngineError } from '../../schemas/errors.js';
import type { Clock, TimerHandle } from '../../streams/clock.js';
import { LayoutChange } from '../../streams/generations/layout-change.js';
import { readLayout } from '../../streams/generations/layout.js';
import type { Closing, Layout } from '../../streams/generations/layout.js';
import type { Logger } from '../../streams/logger.js';
import type { Storage } from './current-storage.js';

/** Between two looks: one small read. */
const LOOK_MS = 1_000;
/** While held, when everybody waits. */
const HELD_LOOK_MS = 100;
/** An announcement whose author is alive changes this often, … */
export const BEAT_MS = 2_000;
/** … and one that has not changed for so long is taken back: what its author does later fails as a whole. */
const SILENCE_MS_MAX = 30_000;

export interface WatchedEngine {
  readonly storage: Pick<Storage, 'physical'>;
  /** Number of the generation that it works on: the new one when `switchTo` has resolved. */
  readonly generation: number;
  hold(): Promise<void>;
  switchTo(layout: Layout): Promise<void>;
  goOn(): Promise<void>;
}

export interface GenerationWatchOptions {
  readonly engine: WatchedEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The process cannot go on. */
  readonly onStopped: (error: unknown) => void;
}

export class GenerationWatch {
  private isHeld = false;
  private isClosed = false;
  private timer: TimerHandle | undefined;
  private looking: Promise<void> = Promise.resolve();
  /** The announcement as it was when it last changed, and when that was. */
  private heard: { readonly closing: Closing; readonly atMs: number } | undefined;

  constructor(private readonly options: GenerationWatchOptions) {}

  /** Resolves after the first look. */
  async open(): Promise<void> {
    await this.lookAndPlan();
  }

  /** Waits for a look that is under way. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.timer?.cancel();
    await this.looking;
  }

  private lookAndPlan(): Promise<void> {
    const { clock, logger, onStopped } = this.options;
    this.looking = this.look()
      .catch((error: unknown) => {
        if (!isEngineError(error) || error.retriable) return logger.warn('generation not known', { error });
        this.isClosed = true;
        onStopped(error);
      })
      .then(() => {
        if (this.isClosed) return;
        this.timer = clock.setTimer(this.isHeld ? HELD_LOOK_MS : LOOK_MS, () => void this.lookAndPlan());
      });
    return this.looking;
  }

  private async look(): Promise<void> {
    const { engine } = this.options;
    const layout = await readLayout(engine.storage.physical);
    const isSame = layout.inForce === engine.generation;
    const { closing } = layout;
    if (closing === undefined && isSame) {
      this.heard = undefined;
      if (this.isHeld) await this.goOn();
      return;
    }
    if (!this.isHeld) await this.hold();
    if (!isSame) await engine.switchTo(layout);
    if (closing === undefined) await this.goOn();
    else await this.maybeWithdraw(closing);
  }

  private async hold(): Promise<void> {
    const { engine, logger } = this.options;
    logger.info('the engine is being repartitioned: nothing is taken, partitions are given back');
    await engine.hold();
    this.isHeld = true;
  }

  private async goOn(): Promise<void> {
    await this.options.engine.goOn();
    this.isHeld = false;
    this.heard = undefined;
  }

  private async maybeWithdraw(closing: Closing): Promise<void> {
    const { engine, clock, logger } = this.options;
    const now = clock.monotonic();
    const { heard } = this;
    if (heard?.closing.token !== closing.token || heard.closing.beat !== closing.beat) {
      this.heard = { closing, atMs: now };
      return;
    }
    if (now - heard.atMs < SILENCE_MS_MAX) return;
    const change = await LayoutChange.open(engine.storage.physical);
    const found = change.layout.closing;
    if (found?.token !== closing.token || found.beat !== closing.beat) return;
    try {
      await change.withdraw();
      logger.warn('a repartition was announced and not gone on with; the engine goes on with the partitions it has');
    } catch (error) {
      // Somebody was faster: the next look tells.
      if (!isEngineError(error, 'ENGINE_RUNNING')) throw error;
    }
  }
}
