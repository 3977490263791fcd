/**
 * Membership in a group that shares a topic's partitions, by Kafka's group protocol.
 *
 * kafkajs knows the protocol's requests; its own consumer is not used, since it ties membership to fetching and to offsets
 * that Kafka keeps. Here offsets are held by the state commit, and tell lag tools only.
 *
 *     joining ── joined, synced, a heartbeat succeeded ──> member ── rebalance ──> joining (goes on with what it has)
 *        ^                                                   │
 *        └──── not a member any more: everything let go ─────┘
 *
 * Invariant: the listener hears of a new partition only after a heartbeat of the membership that brought it succeeded; it
 * hears of a loss as soon as the loss is known, and the member does not join again before that was acted on.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock, TimerHandle } from '../clock.js';
import type { AssignmentListener } from '../log/event-log.js';
import type { Logger } from '../logger.js';
import type { Counter } from '../metrics.js';
import type { Channel, GroupBroker, KafkaClient } from './kafka-client.js';
import { errorType, kafkaFault } from './kafka-error.js';
import {
  assignSticky,
  decodeAssignment,
  decodeMetadata,
  encodeAssignment,
  encodeMetadata,
  type OwnAssignment,
} from './sticky-assignor.js';

export interface GroupOptions {
  /** A member that is silent for this long loses its partitions, ms. The broker's least is 6,000. */
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  /** How long the others wait for a member to finish and join again, ms. */
  readonly rebalanceMs: number;
}

export interface GroupContext {
  readonly client: KafkaClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rebalances: Counter;
}

export interface GroupTopic {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
}

const PROTOCOL = 'freshet-sticky';
const RETRY_MS = 100;
/** The membership is gone: the member starts anew, with nothing. */
const MEMBERSHIP_LOST = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID']);
const REBALANCE = 'REBALANCE_IN_PROGRESS';
const COMMIT_RETENTION_DEFAULT = -1;

export class GroupMember {
  private channel: Channel | undefined;
  private coordinator: GroupBroker | undefined;
  private memberId = '';
  private generation = -1;
  private owned: readonly number[] = [];
  /** What the present membership was joined with: more than `owned` where the session has ended since. */
  private claimed: readonly number[] = [];
  private session: TimerHandle | undefined;
  private telling: Promise<void> = Promise.resolve();
  private readonly progress = new Map<number, number>();
  /** Told by the next heartbeat of a membership that was acted on. */
  private unconfirmed: (() => void)[] = [];
  private readonly leaving = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly target: GroupTopic,
    private readonly listener: AssignmentListener,
    private readonly context: GroupContext,
    private readonly options: GroupOptions,
  ) {}

  /** Resolves with the first assignment acted on. Throws LOG_REFUSED, or LOG_UNAVAILABLE when the cluster is not reachable. */
  async join(): Promise<void> {
    this.channel = await this.context.client.openChannel();
    await new Promise<void>((resolve, reject) => {
      this.running = this.run(resolve).catch(async (error: unknown) => {
        await this.release();
        reject(kafkaFault(error, `join group ${this.target.group}`));
        if (this.leaving.signal.aborted) return;
        this.context.logger.error('group left', { group: this.target.group, error });
      });
    });
  }

  /** Tells lag tools how far a partition was read. Sent with a later heartbeat; nothing depends on it. */
  report(partition: number, offset: number): void {
    this.progress.set(partition, offset);
  }

  /** As in Membership. A heartbeat during a rebalance does not count: its outcome may take partitions away. */
  confirmed(): Promise<void> {
    return new Promise((resolve) => this.unconfirmed.push(resolve));
  }

  /** Lets everything go, then tells the others. Idempotent. */
  async leave(): Promise<void> {
    if (this.leaving.signal.aborted) return;
    this.leaving.abort();
    await this.running;
    this.session?.cancel();
    const { group: groupId } = this.target;
    try {
      await this.commitProgress();
      await this.release();
      await this.coordinator?.leaveGroup({ groupId, memberId: this.memberId });
    } catch (error) {
      // Without it the others only wait for the session to end.
      this.context.logger.debug('leave', { error });
    }
    await this.release();
    await this.channel?.close();
  }

  private async run(joined: () => void): Promise<void> {
    const { clock, logger } = this.context;
    while (!this.leaving.signal.aborted) {
      try {
        const assignment = await this.joinOnce();
        await this.apply(assignment);
        joined();
        await this.stay(assignment.isPending);
      } catch (error) {
        if (this.leaving.signal.aborted) return;
        await this.recover(error);
        logger.debug('group', { group: this.target.group, error });
        await clock.sleep(RETRY_MS, this.leaving.signal).catch(() => undefined);
      }
    }
  }

  /** After any failure: what is lost is let go; what passes is tried again. Throws what does not. */
  private async recover(error: unknown): Promise<void> {
    const type = errorType(error);
    if (type === REBALANCE) {
      // The session may have ended by its own timer meanwhile: that loss is acted on before the member joins again.
      await this.telling;
      return;
    }
    if (MEMBERSHIP_LOST.has(type)) {
      this.memberId = '';
      await this.release();
      return;
    }
    const fault = kafkaFault(error, `stay in group ${this.target.group}`);
    if (!fault.retriable) throw fault;
    this.coordinator = undefined;
  }

  /** Joins and syncs; as the leader, decides for all. */
  private async joinOnce(): Promise<OwnAssignment> {
    const { group: groupId, topic, partitions } = this.target;
    this.coordinator ??= await this.channel!.groupCoordinator(groupId);
    const { sessionMs: sessionTimeout, rebalanceMs: rebalanceTimeout } = this.options;
    this.claimed = this.owned;
    const claim = { owned: this.claimed, generation: this.generation };
    const groupProtocols = [{ name: PROTOCOL, metadata: encodeMetadata(topic, claim) }];
    const place = { groupId, memberId: this.memberId };
    const protocolType = 'consumer' as const;
    const answer = await this.coordinator.joinGroup({
      ...place,
      sessionTimeout,
      rebalanceTimeout,
      protocolType,
      groupProtocols,
    });
    this.memberId = answer.memberId;
    const { generationId } = answer;
    const isLeader = answer.leaderId === answer.memberId;
    const { memberAssignment } = await this.coordinator.syncGroup({
      groupId,
      memberId: this.memberId,
      generationId,
      groupAssignment: isLeader ? decide(answer.members, topic, partitions) : [],
    });
    this.context.rebalances.inc();
    // The session may have ended while the member joined: tasks that are let go may yet be fenced, and what confirms the
    // membership has to be younger than that.
    await this.telling;
    // A member that slept since may have been replaced: only a heartbeat of this very membership tells.
    await this.heartbeat(generationId);
    this.generation = generationId;
    return decodeAssignment(memberAssignment);
  }

  private async heartbeat(groupGenerationId: number): Promise<void> {
    const started = this.context.clock.monotonic();
    const { group: groupId } = this.target;
    await this.coordinator!.heartbeat({ groupId, memberId: this.memberId, groupGenerationId });
    // From when it was sent: the broker counts the session from when it arrived.
    this.watchSession(started);
  }

  /** Unheard for a session, its partitions are somebody else's: the member lets go by itself, whatever it waits for. */
  private watchSession(heardAt: number): void {
    const { clock } = this.context;
    this.session?.cancel();
    const leftMs = Math.max(0, heardAt + this.options.sessionMs - clock.monotonic());
    this.session = clock.setTimer(leftMs, () => void this.release());
  }

  private async apply({ partitions }: OwnAssignment): Promise<void> {
    const before = this.owned;
    this.owned = partitions;
    if (before.length !== partitions.length || before.some((partition) => !partitions.includes(partition))) {
      this.context.logger.info('partitions assigned', { group: this.target.group, partitions: partitions.join() });
      await this.keepAliveWhile(this.tell(partitions));
    }
    // What was let go, now or while the member joined, is somebody else's at once when it joins without it.
    if (this.claimed.some((partition) => !partitions.includes(partition))) throw new LetGo();
  }

  /** One after another, also when the session ends meanwhile. */
  private tell(partitions: readonly number[]): Promise<void> {
    this.telling = this.telling.then(() => this.listener(partitions));
    return this.telling;
  }

  /** Letting go may take longer than a session. */
  private async keepAliveWhile(work: Promise<void>): Promise<void> {
    const beat = this.context.clock.setInterval(this.options.heartbeatMs, () => {
      // A rebalance meanwhile is met by the next heartbeat that counts.
      this.heartbeat(this.generation).catch(() => undefined);
    });
    try {
      await work;
    } finally {
      beat.cancel();
    }
  }

  /** Returns never but by an error: a rebalance, or the membership's end. */
  private async stay(isPending: boolean): Promise<void> {
    const { clock } = this.context;
    const { signal } = this.leaving;
    // While partitions are about to be let go, the next rebalance is a moment away.
    const pauseMs = isPending ? Math.min(RETRY_MS, this.options.heartbeatMs) : this.options.heartbeatMs;
    while (!signal.aborted) {
      await clock.sleep(pauseMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      if (this.generation < 0) throw new LetGo();
      const asking = this.unconfirmed.length;
      await this.heartbeat(this.generation);
      // The session may have ended while the answer was on its way.
      if (this.generation < 0) throw new LetGo();
      for (const confirm of this.unconfirmed.splice(0, asking)) confirm();
      await this.commitProgress();
    }
  }

  private async commitProgress(): Promise<void> {
    if (this.progress.size === 0 || this.generation < 0) return;
    const partitions = [...this.progress].map(([partition, offset]) => ({ partition, offset: String(offset) }));
    this.progress.clear();
    const { group: groupId, topic } = this.target;
    const place = { groupId, groupGenerationId: this.generation, memberId: this.memberId };
    await this.coordinator?.offsetCommit({
      ...place,
      retentionTime: COMMIT_RETENTION_DEFAULT,
      topics: [{ topic, partitions }],
    });
  }

  private async release(): Promise<void> {
    this.generation = -1;
    this.unconfirmed = [];
    if (this.owned.length === 0) return;
    this.owned = [];
    await this.tell([]);
  }
}

/** Partitions were let go: the group must be told, by joining again. */
class LetGo extends EngineError {
  readonly type = REBALANCE;

  constructor() {
    super('LOG_UNAVAILABLE', 'Partitions were let go; the group is joined again.');
  }
}

function decide(
  members: readonly { memberId: string; memberMetadata: Buffer }[],
  topic: string,
  partitionCount: number,
): { memberId: string; memberAssignment: Buffer }[] {
  const claims = members.map(({ memberId, memberMetadata }) => decodeMetadata(memberId, memberMetadata));
  const { partitions, pending } = assignSticky(claims, partitionCount);
  return [...partitions].map(([memberId, own]) => ({
    memberId,
    memberAssignment: encodeAssignment(topic, own, pending.length > 0),
  }));
}
