/**
 * What logs that live in one process share: the declared topics, append and hint listeners, and groups.
 *
 * A registry does no input or output. Listeners are called in a microtask, once for all appends of a turn, so an
 * append never runs foreign code. Groups balance their members within the process: partition p belongs to member
 * p modulo the number of members, and a partition is given to its new member only after its old one let it go.
 */
import { EngineError } from '../../schemas/errors.js';
import type { AppendListener, AssignmentListener, Hint, Membership, TopicSpec } from '../log/event-log.js';
import { compareKeys } from './key-order.js';

interface Member {
  readonly listener: AssignmentListener;
  assigned: readonly number[];
}

interface Group {
  members: Member[];
  /** Rebalances run one after another. */
  rebalanced: Promise<void>;
}

export class TopicRegistry {
  private readonly specs = new Map<string, TopicSpec>();
  private readonly appendListeners = new Map<string, Set<AppendListener>>();
  private readonly hintListeners = new Map<string, Set<(hints: readonly Hint[]) => void>>();
  private readonly groups = new Map<string, Group>();
  /** Partitions that grew and whose listeners are not told yet, by topic. */
  private readonly appended = new Map<string, Set<number>>();

  /** Those that are new, or whose retention or exactness changed. Throws TOPIC_MISMATCH. */
  undeclared(specs: readonly TopicSpec[]): readonly TopicSpec[] {
    for (const spec of specs) this.requireCompatible(spec);
    return specs.filter((spec) => {
      const existing = this.specs.get(spec.name);
      if (existing === undefined || existing.retentionMs !== spec.retentionMs) return true;
      return (existing.exact ?? false) !== (spec.exact ?? false);
    });
  }

  /** Takes topics that `undeclared` let pass. */
  declare(specs: readonly TopicSpec[]): void {
    for (const spec of specs) this.specs.set(spec.name, Object.freeze({ ...spec }));
  }

  private requireCompatible(spec: TopicSpec): void {
    if (!Number.isInteger(spec.partitions) || spec.partitions < 1) {
      throw new EngineError(
        'TOPIC_MISMATCH',
        `Topic '${spec.name}' needs at least 1 partition, got ${spec.partitions}.`,
      );
    }
    const existing = this.specs.get(spec.name);
    if (existing === undefined) return;
    if (existing.partitions === spec.partitions && existing.class === spec.class) return;
    throw new EngineError(
      'TOPIC_MISMATCH',
      `Topic '${spec.name}' has ${existing.partitions} partitions of class ${existing.class}, but ${spec.partitions} of ` +
        `class ${spec.class} were asked for; change the declaration, or repartition the topic.`,
      { context: { topic: spec.name } },
    );
  }

  topic(name: string): TopicSpec {
    const spec = this.specs.get(name);
    if (spec !== undefined) return spec;
    throw new EngineError('TOPIC_UNKNOWN', `Topic '${name}' does not exist; create it before using it.`, {
      context: { topic: name },
    });
  }

  /** A topic that stores records, which hint topics do not. */
  storedTopic(name: string): TopicSpec {
    const spec = this.topic(name);
    if (spec.class !== 'hint') return spec;
    throw new EngineError('TOPIC_MISMATCH', `Topic '${name}' is of class hint and stores no records; use sendHints.`, {
      context: { topic: name },
    });
  }

  topics(): readonly TopicSpec[] {
    return [...this.specs.values()].sort((left, right) => compareKeys(left.name, right.name));
  }

  onAppend(topic: string, listener: AppendListener): () => void {
    this.topic(topic);
    return subscribe(this.appendListeners, topic, listener);
  }

  hasAppendListeners(topic: string): boolean {
    return this.appendListeners.has(topic);
  }

  /** Tells listeners, soon, that a partition grew. */
  notifyAppended(topic: string, partition: number): void {
    if (!this.appendListeners.has(topic)) return;
    const waiting = this.appended.get(topic);
    if (waiting !== undefined) {
      waiting.add(partition);
      return;
    }
    const partitions = new Set([partition]);
    this.appended.set(topic, partitions);
    queueMicrotask(() => {
      this.appended.delete(topic);
      for (const listener of [...(this.appendListeners.get(topic) ?? [])]) listener(partitions);
    });
  }

  onHints(topic: string, listener: (hints: readonly Hint[]) => void): () => void {
    this.topic(topic);
    return subscribe(this.hintListeners, topic, listener);
  }

  wantsHints(topic: string): boolean {
    return (this.hintListeners.get(topic)?.size ?? 0) > 0;
  }

  sendHints(topic: string, hints: readonly Hint[]): void {
    this.topic(topic);
    if (hints.length === 0 || !this.wantsHints(topic)) return;
    queueMicrotask(() => {
      for (const listener of [...(this.hintListeners.get(topic) ?? [])]) listener(hints);
    });
  }

  async join(name: string, topic: string, listener: AssignmentListener): Promise<Membership> {
    const { partitions } = this.topic(topic);
    const id = `${name}\n${topic}`;
    const group = this.groups.get(id) ?? { members: [], rebalanced: Promise.resolve() };
    this.groups.set(id, group);
    const member: Member = { listener, assigned: [] };
    group.members.push(member);
    await this.rebalance(group, partitions, []);
    const leave = async (): Promise<void> => {
      if (!group.members.includes(member)) return;
      group.members = group.members.filter((other) => other !== member);
      await this.rebalance(group, partitions, [member]);
    };
    return { leave, confirmed: () => Promise.resolve() };
  }

  /** Takes away first, then hands out; `leavers` end with nothing. */
  private rebalance(group: Group, partitions: number, leavers: readonly Member[]): Promise<void> {
    const run = async (): Promise<void> => {
      const { members } = group;
      const target = new Map<Member, readonly number[]>(leavers.map((member) => [member, []]));
      members.forEach((member, i) => target.set(member, partitionsOf(i, members.length, partitions)));
      for (const [member, wanted] of target) {
        await assign(
          member,
          member.assigned.filter((partition) => wanted.includes(partition)),
        );
      }
      for (const [member, wanted] of target) await assign(member, wanted);
    };
    const done = group.rebalanced.then(run);
    group.rebalanced = done.catch(() => undefined);
    return done;
  }
}

async function assign(member: Member, partitions: readonly number[]): Promise<void> {
  const same = partitions.length === member.assigned.length && partitions.every((p, i) => p === member.assigned[i]);
  if (same) return;
  member.assigned = partitions;
  await member.listener(partitions);
}

function partitionsOf(memberIndex: number, memberCount: number, partitions: number): number[] {
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  return all.filter((partition) => partition % memberCount === memberIndex);
}

function subscribe<T>(listeners: Map<string, Set<T>>, topic: string, listener: T): () => void {
  const own = listeners.get(topic) ?? new Set<T>();
  listeners.set(topic, own);
  own.add(listener);
  return () => {
    own.delete(listener);
    if (own.size === 0 && listeners.get(topic) === own) listeners.delete(topic);
  };
}
