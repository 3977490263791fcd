/**
 * A Kafka group coordinator in virtual time, which the real GroupMember talks to: who works on what, as the protocol has it.
 *
 *   empty ──join──▶ preparing ──all joined, or time is up──▶ completing ──the leader synced──▶ stable
 *                      ▲                                                                         │
 *                      └──────────── a member joins, leaves, or is silent for a session ─────────┘
 *
 * Requests travel as all calls do: they are lost, late, answered to nobody, and come from processes that stood still.
 */
import type { AssignmentListener, Membership } from '../../streams/log/event-log.js';
import { GroupMember } from '../../streams/kafka/group-member.js';
import type { GroupContext } from '../../streams/kafka/group-member.js';
import type { GroupBroker } from '../../streams/kafka/kafka-client.js';
import { silentLogger } from '../../streams/logger.js';
import { createMetrics } from '../../streams/metrics.js';
import type { FaultPlan } from './faults.js';
import type { Process } from './process.js';
import type { Scheduler } from './scheduler.js';

type JoinRequest = Parameters<GroupBroker['joinGroup']>[0];
type JoinAnswer = Awaited<ReturnType<GroupBroker['joinGroup']>>;
type SyncRequest = Parameters<GroupBroker['syncGroup']>[0];
type SyncAnswer = Awaited<ReturnType<GroupBroker['syncGroup']>>;

interface Member {
  readonly id: string;
  metadata: Buffer;
  heardMs: number;
  joining: Waiting<JoinAnswer> | undefined;
  syncing: Waiting<SyncAnswer> | undefined;
}

/** An answer that comes when the others have spoken. */
interface Waiting<T> {
  answer(value: T): void;
  fail(type: string): void;
}

/** As a broker says it: by type. */
class GroupError extends Error {
  constructor(readonly type: string) {
    super(type);
  }
}

const SESSION_MS = 350;
const HEARTBEAT_MS = 70;
const REBALANCE_MS = 500;

/** One group of one topic. */
class Group {
  private members = new Map<string, Member>();
  private state: 'empty' | 'preparing' | 'completing' | 'stable' = 'empty';
  private generation = 0;
  private leader = '';
  private assignments = new Map<string, Buffer>();
  private made = 0;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly faults: FaultPlan,
  ) {}

  join({ memberId, groupProtocols }: JoinRequest, waiting: Waiting<JoinAnswer>): void {
    const { metadata } = groupProtocols[0]!;
    if (memberId !== '' && !this.members.has(memberId)) return waiting.fail('UNKNOWN_MEMBER_ID');
    const id = memberId === '' ? `member-${this.made++}` : memberId;
    const known = this.members.get(id);
    if (known === undefined) this.watch(id);
    const heardMs = this.scheduler.elapsedMs;
    this.members.set(id, { id, metadata, heardMs, joining: waiting, syncing: undefined });
    this.prepare();
    this.maybeComplete();
  }

  sync({ memberId, generationId, groupAssignment }: SyncRequest, waiting: Waiting<SyncAnswer>): void {
    const member = this.members.get(memberId);
    if (member === undefined) return waiting.fail('UNKNOWN_MEMBER_ID');
    if (generationId !== this.generation) return waiting.fail('ILLEGAL_GENERATION');
    if (this.state === 'preparing') return waiting.fail('REBALANCE_IN_PROGRESS');
    member.heardMs = this.scheduler.elapsedMs;
    member.syncing = waiting;
    if (this.state === 'completing' && memberId === this.leader) {
      this.assignments = new Map(groupAssignment.map((own) => [own.memberId, own.memberAssignment]));
      this.state = 'stable';
    }
    if (this.state !== 'stable') return;
    for (const other of this.members.values()) {
      other.syncing?.answer({ memberAssignment: this.assignments.get(other.id) ?? Buffer.alloc(0) });
      other.syncing = undefined;
    }
  }

  heartbeat(memberId: string, generation: number): void {
    const member = this.members.get(memberId);
    if (member === undefined) throw new GroupError('UNKNOWN_MEMBER_ID');
    if (generation !== this.generation) throw new GroupError('ILLEGAL_GENERATION');
    member.heardMs = this.scheduler.elapsedMs;
    if (this.state !== 'stable') throw new GroupError('REBALANCE_IN_PROGRESS');
  }

  leave(memberId: string): void {
    if (this.members.delete(memberId)) this.prepare();
    this.maybeComplete();
  }

  /** Everybody joins again, though nobody came or went: an administrator, or a broker that moved. */
  disturb(): void {
    if (this.state === 'stable') this.prepare();
  }

  private prepare(): void {
    if (this.state === 'preparing') return;
    this.state = 'preparing';
    this.faults.note('rebalance');
    for (const member of this.members.values()) {
      member.syncing?.fail('REBALANCE_IN_PROGRESS');
      member.syncing = undefined;
    }
    const { generation } = this;
    this.scheduler.after(REBALANCE_MS, () => {
      if (this.state !== 'preparing' || this.generation !== generation) return;
      for (const [id, { joining }] of this.members) if (joining === undefined) this.members.delete(id);
      this.maybeComplete();
    });
  }

  private maybeComplete(): void {
    const members = [...this.members.values()];
    if (this.state !== 'preparing' || members.some(({ joining }) => joining === undefined)) return;
    this.generation++;
    this.assignments.clear();
    this.state = members.length === 0 ? 'empty' : 'completing';
    if (!this.members.has(this.leader)) this.leader = members[0]?.id ?? '';
    const all = members.map(({ id, metadata }) => ({ memberId: id, memberMetadata: metadata }));
    for (const member of members) {
      const { id, joining } = member;
      member.joining = undefined;
      member.heardMs = this.scheduler.elapsedMs;
      const place = { generationId: this.generation, leaderId: this.leader, memberId: id };
      joining!.answer({ ...place, members: id === this.leader ? all : [] });
    }
  }

  private watch(id: string): void {
    this.scheduler.after(HEARTBEAT_MS, () => {
      const member = this.members.get(id);
      if (member === undefined) return;
      // Whoever waits for the others is taken for alive.
      const isWaiting = member.joining !== undefined || member.syncing !== undefined;
      if (!isWaiting && this.scheduler.elapsedMs - member.heardMs > SESSION_MS) {
        this.faults.note('sessionEnded');
        this.leave(id);
      } else this.watch(id);
    });
  }
}

export class GroupCoordinator {
  private readonly groups = new Map<string, Group>();
  /** When a heartbeat of a process last succeeded, by process and topic, virtual ms. */
  private readonly confirmedMs = new Map<string, number>();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly faults: FaultPlan,
    private readonly partitionsOf: (topic: string) => number,
  ) {}

  async join(process: Process, topic: string, listener: AssignmentListener): Promise<Membership> {
    const channel = {
      groupCoordinator: () => process.call(() => this.brokerFor(process, topic), { server: 'group' }),
      close: () => Promise.resolve(),
    };
    const metrics = createMetrics({ namespace: 'simulation', includeProcess: false });
    const context = {
      client: { openChannel: () => Promise.resolve(channel) },
      clock: process,
      logger: silentLogger,
      rebalances: metrics.counter('rebalances_total', 'Rebalances.'),
    } as unknown as GroupContext;
    const target = { group: topic, topic, partitions: this.partitionsOf(topic) };
    const options = { sessionMs: SESSION_MS, heartbeatMs: HEARTBEAT_MS, rebalanceMs: REBALANCE_MS };
    const member = new GroupMember(target, listener, context, options);
    await member.join();
    return { leave: () => member.leave(), confirmed: () => member.confirmed() };
  }

  rebalance(topic: string): void {
    this.groups.get(topic)?.disturb();
  }

  /** When the group last answered a heartbeat of this process. */
  confirmedAt(process: Process, topic: string): number {
    return this.confirmedMs.get(`${process.name} ${topic}`) ?? -1;
  }

  private group(topic: string): Group {
    let group = this.groups.get(topic);
    if (group === undefined) this.groups.set(topic, (group = new Group(this.scheduler, this.faults)));
    return group;
  }

  private brokerFor(process: Process, topic: string): GroupBroker {
    const group = this.group(topic);
    const later = async <T>(ask: (waiting: Waiting<T>) => void): Promise<T> => {
      let settle: Waiting<T> | undefined;
      const answered = new Promise<T>((resolve, reject) => {
        settle = {
          answer: (value) => process.deliverAfter(1, () => resolve(value)),
          fail: (type) => process.deliverAfter(1, () => reject(new GroupError(type))),
        };
      });
      answered.catch(() => undefined);
      await process.call(() => ask(settle!), { server: 'group' });
      return answered;
    };
    const broker = {
      joinGroup: (request: JoinRequest) => later<JoinAnswer>((waiting) => group.join(request, waiting)),
      syncGroup: (request: SyncRequest) => later<SyncAnswer>((waiting) => group.sync(request, waiting)),
      heartbeat: ({ memberId, groupGenerationId }: { memberId: string; groupGenerationId: number }) =>
        process.call(
          () => {
            group.heartbeat(memberId, groupGenerationId);
            this.confirmedMs.set(`${process.name} ${topic}`, this.scheduler.elapsedMs);
          },
          { server: 'group' },
        ),
      leaveGroup: ({ memberId }: { memberId: string }) =>
        process.call(() => group.leave(memberId), { server: 'group' }),
      offsetCommit: () => process.call(() => undefined, { server: 'group' }),
    };
    return broker as unknown as GroupBroker;
  }
}
