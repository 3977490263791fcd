/**
 * Shadow rebuild: gives one operator of a running stage the state it would have, had it run from the start of the log.
 *
 *   open ──▶ catchUp … catchUp ──▶ (stop the live task) ──▶ flip ──▶ (start it with the new stage)
 *
 * The new operator runs in a shadow task over the same partition, sending nothing, never ahead of the live task. `flip`
 * takes the live task from its owner, so that its offset X stands still, steps the shadow to exactly X, and replaces the
 * operator's cells and timers in the live rows by one commit. Commits are atomic on every store: readers see the state
 * before or after, a crash leaves one of the two, and opening the rebuild again goes on where it was.
 *
 * Concurrency: one ShadowRebuild a partition and generation; the live task may run until `flip` is called.
 */
import type { Readable } from 'node:stream';
import { EngineError, invariant } from '../../schemas/errors.js';
import { importSnapshot } from '../queries/snapshot.js';
import { Task } from '../runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../runtime/task-options.js';
import type { TaskEnvironment } from '../runtime/task.js';
import type { TaskOptions } from '../runtime/task-options.js';
import { TaskMeta } from '../runtime/task-meta.js';
import type { StateStore, TaskHead } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { flipContent } from './flip-content.js';
import { forgetRebuild, readRebuild, rebuildDocumentName, writeRebuild } from './rebuild-document.js';
import type { RebuildDocument, RebuildPhase } from './rebuild-document.js';
import { BoundedLog, SeedStore, SilentStore } from './shadow-environment.js';
import type { OutputListener } from './shadow-environment.js';
import { shadowStageName, shadowStageOf } from './shadow-stage.js';
import type { ShadowSource, ShadowStage } from './shadow-stage.js';

export interface RebuildOptions extends ShadowSource {
  /** Starts from a snapshot, of the live task without this operator, or of an earlier shadow of this generation. */
  readonly snapshot?: () => Readable;
  /** Accepts that the log no longer reaches back to offset 0, and with it that the state lacks what is gone. */
  readonly acceptTruncatedLog?: boolean;
  /** Told of what the shadow would have sent; nothing is sent. */
  readonly onOutputs?: OutputListener;
  readonly task?: TaskOptions;
  /** Most bytes of state a flip may change; default FLIP_BYTES_MAX. */
  readonly flipBytesMax?: number;
}

/** The difference is one commit, and held in memory while it is made. */
export const FLIP_BYTES_MAX = 256 << 20;

/**
 * Not flipped, the live task as it was: `between-timers`, its last batch ended among the timers before a record, where
 * no other task can join it: let it take one more batch. `live-behind`: its store fell back to an earlier commit; let it
 * run past the shadow.
 */
export type FlipResult =
  | { readonly flipped: true; readonly offset: number }
  | { readonly flipped: false; readonly reason: 'between-timers' | 'live-behind' };

export class ShadowRebuild {
  private readonly shadow: ShadowStage;
  private readonly documentName: string;
  private readonly log: BoundedLog;
  private readonly task: Task;
  private state: RebuildDocument;

  private constructor(
    private readonly environment: TaskEnvironment,
    private readonly options: RebuildOptions,
  ) {
    this.shadow = shadowStageOf(options);
    const { stage, operators } = this.shadow;
    this.documentName = rebuildDocumentName(stage.name, options.partition);
    this.log = new BoundedLog(environment.log);
    const store = new SilentStore(environment.store, options.onOutputs);
    const shadowed = { ...environment, log: this.log, store };
    this.task = new Task(stage, options.partition, shadowed, options.task ?? DEFAULT_TASK_OPTIONS);
    this.state = { format: 1, phase: 'preparing', operators, offset: -1, commitId: '' };
  }

  /**
   * Starts a rebuild, or goes on with it where it was left, after a crash too. Throws OFFSET_OUT_OF_RANGE when the log
   * lacks its start, SNAPSHOT_INVALID, TOPOLOGY_INVALID when it was begun with other operators.
   */
  static async open(environment: TaskEnvironment, options: RebuildOptions): Promise<ShadowRebuild> {
    const rebuild = new ShadowRebuild(environment, options);
    await rebuild.goOn();
    return rebuild;
  }

  get phase(): RebuildPhase {
    return this.state.phase;
  }

  /** Next input offset of the shadow. */
  get offset(): number {
    return this.task.offset;
  }

  /** Records that the live task has seen and the shadow has not. */
  async lag(): Promise<number> {
    if (this.phase === 'flipped') return 0;
    return Math.max(0, ((await this.liveHead())?.offset ?? 0) - this.task.offset);
  }

  /** Steps the shadow until it is where the live task was at the last look. Returns the records and timers taken. */
  async catchUp(): Promise<number> {
    let taken = 0;
    if (this.phase === 'flipped') return taken;
    for (;;) {
      const live = await this.liveHead();
      if (live === undefined || this.task.offset >= live.offset) return taken;
      taken += await this.stepTo(live.offset);
    }
  }

  /**
   * Takes the live task from its owner, who is fenced from now on, and flips. Start the live task again afterwards, with
   * the new stage when it was flipped. May be called again after any error. Throws TASK_FENCED when somebody takes the
   * live task meanwhile, CONFIG_INVALID when more changes than `flipBytesMax`.
   */
  async flip(): Promise<FlipResult> {
    await this.catchUp();
    if (await this.isApplied()) await this.finish();
    if (this.phase === 'flipped') return { flipped: true, offset: this.state.offset };
    const { store, random } = this.environment;
    const { live } = this.shadow;
    if (this.isBetweenTimers(await this.liveHead())) return { flipped: false, reason: 'between-timers' };
    const owner = random.hex(16);
    const head = await store.acquire(live, owner);
    if (this.task.offset > head.offset) return { flipped: false, reason: 'live-behind' };
    await this.stepTo(head.offset);
    if (this.isBetweenTimers(head)) return { flipped: false, reason: 'between-timers' };

    const content = await flipContent(store, {
      ...this.shadow,
      shadow: this.shadow.shadow,
      operator: this.options.operator,
      version: head.offset - 1,
      bytesMax: this.options.flipBytesMax ?? FLIP_BYTES_MAX,
    });
    const { offset, meta } = head;
    const next = random.hex(16);
    await this.write({ phase: 'flipping', offset, commitId: next });
    await store.commit(live, { owner, previous: head.commitId, next, offset, meta, outputs: [], ...content });
    await this.finish();
    return { flipped: true, offset };
  }

  /** Gives the rebuild up: the shadow goes, the live task was never touched. Not after the flip. */
  async abandon(): Promise<void> {
    if (await this.isApplied()) await this.finish();
    invariant(this.phase !== 'flipped', `the rebuild ${this.shadow.stage.name} was flipped and cannot be abandoned`);
    this.task.close();
    await this.environment.store.drop(this.shadow.shadow);
    await forgetRebuild(this.environment.store, this.documentName);
  }

  /** Stops working on it; `open` goes on later. */
  close(): void {
    this.task.close();
  }

  private async goOn(): Promise<void> {
    const { store } = this.environment;
    const found = await readRebuild(store, this.documentName);
    if (found !== undefined) {
      this.requireSameOperators(found);
      this.state = found;
    }
    if (found === undefined || found.phase === 'preparing') await this.prepare();
    if (await this.isApplied()) this.state = { ...this.state, phase: 'flipped' };
    if (this.phase === 'flipped') await this.finish();
    else await this.task.open();
  }

  private requireSameOperators(found: RebuildDocument): void {
    const { operators, stage } = this.shadow;
    if (found.phase === 'flipped' || found.operators.join() === operators.join()) return;
    throw new EngineError(
      'TOPOLOGY_INVALID',
      `The rebuild ${stage.name} was begun with ${found.operators.join(', ')}; now it would run ${operators.join(', ')}. Abandon it, or use another generation.`,
    );
  }

  /** Gives the shadow its start. Cut short by a crash it is done again from scratch. */
  private async prepare(): Promise<void> {
    const { log, store } = this.environment;
    const { shadow, stage, hash } = this.shadow;
    const { snapshot, operator } = this.options;
    const { start } = await log.bounds(stage.input, shadow.partition);
    if (snapshot === undefined) this.requireWholeLog(start);
    await this.write({ phase: 'preparing' });
    await store.drop(shadow);
    if (snapshot !== undefined) {
      const seed = new SeedStore(store, { shadow, operator, hash });
      await importSnapshot(seed, snapshot, log.identity);
    } else if (start > 0) {
      const head = { commitId: '', offset: start, meta: new Uint8Array(0) };
      await store.restore(shadow, { head, rows: nothing(), timers: nothing() });
    }
    await this.write({ phase: 'building' });
  }

  private requireWholeLog(start: number): void {
    if (start === 0 || this.options.acceptTruncatedLog === true) return;
    throw new EngineError(
      'OFFSET_OUT_OF_RANGE',
      `Topic '${this.shadow.stage.input}' starts at offset ${start}: a rebuild of '${this.options.operator}' would lack what is gone. Start from a snapshot, or accept a truncated log.`,
    );
  }

  private async stepTo(offset: number): Promise<number> {
    this.log.until = offset;
    let taken = 0;
    while (this.task.offset < offset) {
      const before = this.task.offset;
      const progress = await this.task.step();
      invariant(progress > 0 || this.task.offset > before, 'the log ends before the live task', { offset, before });
      taken += progress;
    }
    return taken;
  }

  private liveHead(): Promise<TaskHead | undefined> {
    return this.environment.store.head(this.shadow.live);
  }

  /**
   * Whether the live task has fired timers on account of a record that it has not taken yet: it has sent outputs for it,
   * or its event time is ahead of the shadow's, which has taken the same records.
   */
  private isBetweenTimers(head: TaskHead | undefined): boolean {
    if (head === undefined) return false;
    const { emitted, streamTime } = TaskMeta.decode(head.meta);
    if (emitted.size > 0) return true;
    const isComparable = this.options.acceptTruncatedLog !== true && this.task.offset === head.offset;
    return isComparable && streamTime !== this.task.streamTime;
  }

  /** The flip's commit is in the live task, though nobody was told. */
  private async isApplied(): Promise<boolean> {
    return this.phase === 'flipping' && (await this.liveHead())?.commitId === this.state.commitId;
  }

  private async finish(): Promise<void> {
    await this.write({ phase: 'flipped' });
    this.task.close();
    await this.environment.store.drop(this.shadow.shadow);
  }

  private async write(change: Partial<RebuildDocument>): Promise<void> {
    this.state = { ...this.state, ...change };
    await writeRebuild(this.environment.store, this.documentName, this.state);
  }
}

/** Refuses to start a stage whose rebuild is not flipped in every partition. Throws MANIFEST_MISMATCH. */
export async function requireFlipped(
  environment: Pick<TaskEnvironment, 'log' | 'store'>,
  source: Omit<ShadowSource, 'partition' | 'alongside'>,
): Promise<void> {
  const { stage, operator, generation } = source;
  const name = shadowStageName(stage.name, operator, generation);
  const waiting: string[] = [];
  for (let partition = 0; partition < environment.log.topic(stage.input).partitions; partition++) {
    const phase = await phaseOf(environment.store, name, partition);
    if (phase !== 'flipped') waiting.push(`${taskName({ stage: stage.name, partition })} (${phase ?? 'not begun'})`);
  }
  if (waiting.length === 0) return;
  throw new EngineError(
    'MANIFEST_MISMATCH',
    `Operator '${operator}' is not at generation ${generation} in ${waiting.join(', ')}. Finish its rebuild, or start the earlier build.`,
  );
}

async function phaseOf(store: StateStore, shadowStage: string, partition: number): Promise<RebuildPhase | undefined> {
  return (await readRebuild(store, rebuildDocumentName(shadowStage, partition)))?.phase;
}

async function* nothing(): AsyncGenerator<never> {
  // A task that starts without state.
}
