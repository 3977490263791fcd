/**
 * Log and state of the generation in force, whichever it is at the time: what everybody outside of the stages holds on to, so
 * that a process goes over to the next generation while its parts stay.
 *
 *   taking ──hold──▶ refusing appends; those under way end ──switchTo──▶ next generation ──resume──▶ taking
 *                        └──────────────────────resume─────────────────────────────────────────────────┘
 *
 * Listeners go over by themselves. Who reads a topic by offsets of its own (TableFollower, for instance) must not read through
 * this where the topic may move: offsets mean something in one generation only.
 */
import type { EngineError } from '../../schemas/errors.js';
import { ForwardingLog, ForwardingStore } from '../forwarding.js';
import type {
  AppendListener,
  AppendReceipt,
  EventLog,
  GapListener,
  HintsListener,
  OutgoingRecord,
} from '../log/event-log.js';
import type { StateStore, TaskHead, TaskId } from '../state/state-store.js';

interface Subscription {
  readonly subscribe: (log: EventLog) => () => void;
  unsubscribe: () => void;
}

/** Throws when what was done to a generation must not be relied on, because it may not be looked at any more. */
export type Confirm = () => Promise<void>;

export class CurrentLog extends ForwardingLog {
  private readonly subscriptions = new Set<Subscription>();
  private refused: EngineError | undefined;
  private appending = 0;
  private idle: (() => void)[] = [];

  /** `confirm`: asked after each append, of this very generation; undefined where nobody else can replace it. */
  constructor(
    target: EventLog,
    private confirm: Confirm | undefined,
  ) {
    super(target);
  }

  /** Why appends are refused now, if they are. */
  get refusal(): EngineError | undefined {
    return this.refused;
  }

  /** From now on appends are refused with this error; resolves when none is under way. */
  async hold(refusal: EngineError): Promise<void> {
    this.refused = refusal;
    while (this.appending > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  resume(): void {
    this.refused = undefined;
  }

  /** Every topic that is listened to must be there. */
  switchTo(target: EventLog, confirm: Confirm | undefined): void {
    this.target = target;
    this.identity = target.identity;
    this.confirm = confirm;
    for (const subscription of this.subscriptions) {
      subscription.unsubscribe();
      subscription.unsubscribe = subscription.subscribe(target);
    }
  }

  /** Throws, besides what the log throws, the refusal, and what `confirm` throws: then the records may be there. */
  override async append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    if (this.refused !== undefined) throw this.refused;
    const { target, confirm } = this;
    this.appending++;
    try {
      const receipts = await target.append(topic, records);
      await confirm?.();
      return receipts;
    } finally {
      this.appending--;
      if (this.appending === 0) for (const resolve of this.idle.splice(0)) resolve();
    }
  }

  override onAppend(topic: string, listener: AppendListener): () => void {
    return this.keep((log) => log.onAppend(topic, listener));
  }

  override onHints(topic: string, listener: HintsListener, onGap?: GapListener): () => void {
    return this.keep((log) => log.onHints(topic, listener, onGap));
  }

  private keep(subscribe: (log: EventLog) => () => void): () => void {
    const subscription: Subscription = { subscribe, unsubscribe: subscribe(this.target) };
    this.subscriptions.add(subscription);
    return () => {
      this.subscriptions.delete(subscription);
      subscription.unsubscribe();
    };
  }
}

export class CurrentStore extends ForwardingStore {
  switchTo(target: StateStore): void {
    this.target = target;
  }
}

/** A generation's state, for its tasks: gives none to somebody who came after it was announced that the generation closes. */
export class OpenStore extends ForwardingStore {
  /** `confirm`: asked after a task was acquired, which nobody works on before it has resolved. */
  constructor(
    target: StateStore,
    private readonly confirm: Confirm,
  ) {
    super(target);
  }

  /** Throws what `confirm` throws, besides what the store throws. */
  override async acquire(task: TaskId, owner: string): Promise<TaskHead> {
    const head = await this.target.acquire(task, owner);
    await this.confirm();
    return head;
  }
}
