/**
 * Who works on which partition: a simple coordinator that tells members late and in no common order.
 *
 * Members learn of a change after a delay each, so for a while a partition has two owners or none; a paused member
 * keeps believing. That is what any group protocol looks like from inside a task, which must rely on the store's
 * fencing alone.
 */
import type { AssignmentListener, Membership } from '../../streams/log/event-log.js';
import type { Random } from '../../streams/random.js';
import type { FaultPlan } from './faults.js';
import type { Process } from './process.js';

interface Member {
  readonly process: Process;
  readonly topic: string;
  readonly listener: AssignmentListener;
  /** As the coordinator wants it. */
  wanted: readonly number[];
  /** Calls of the listener run one after the other, always with what is wanted by then. */
  calls: Promise<void>;
}

/** A member learns of its assignment at the latest after this long. */
const NEWS_MS_MAX = 400;
const HEARTBEAT_MS = 100;

export class Assignment {
  private members: Member[] = [];

  constructor(
    private readonly random: Random,
    private readonly faults: FaultPlan,
    private readonly partitionsOf: (topic: string) => number,
  ) {}

  join(process: Process, topic: string, listener: AssignmentListener): Promise<Membership> {
    const member: Member = { process, topic, listener, wanted: [], calls: Promise.resolve() };
    this.members.push(member);
    this.rebalance(topic);
    const leave = async (): Promise<void> => {
      this.members = this.members.filter((other) => other !== member);
      this.rebalance(topic);
      return Promise.resolve();
    };
    // A member that was expelled is never told, and asks for ever.
    const confirmed = async (): Promise<void> => {
      while (!(await process.call(() => this.members.includes(member)).catch(() => false)))
        await process.sleep(HEARTBEAT_MS);
    };
    return Promise.resolve({ leave, confirmed });
  }

  /** A process is taken for dead; it may be a paused one that comes back and does not know. */
  expel(process: Process): void {
    const topics = new Set(this.members.filter((member) => member.process === process).map(({ topic }) => topic));
    this.members = this.members.filter((member) => member.process !== process);
    for (const topic of topics) this.rebalance(topic);
  }

  /** Deals the partitions of a topic anew. */
  rebalance(topic: string): void {
    const members = this.members.filter((member) => member.topic === topic);
    if (members.length === 0) return;
    const shares = new Map<Member, number[]>(members.map((member) => [member, []]));
    for (let partition = 0; partition < this.partitionsOf(topic); partition++) {
      shares.get(this.random.pick(members))!.push(partition);
    }
    for (const [member, wanted] of shares) {
      if (String(wanted) === String(member.wanted)) continue;
      if (member.wanted.some((partition) => !wanted.includes(partition))) this.faults.note('twoOwners');
      member.wanted = wanted;
      this.tell(member);
    }
  }

  private tell(member: Member): void {
    member.process.deliverAfter(this.random.int(NEWS_MS_MAX), () => {
      member.calls = member.calls.then(() => member.listener(member.wanted));
    });
  }
}
