import { expect, it, vi } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import type { GroupBroker } from '../../../streams/kafka/kafka-client.js';
import { GroupMember, type GroupContext } from '../../../streams/kafka/group-member.js';
import { decodeMetadata, encodeAssignment } from '../../../streams/kafka/sticky-assignor.js';
import { silentLogger } from '../../../streams/logger.js';
import { createMetrics } from '../../../streams/metrics.js';

const OPTIONS = { sessionMs: 1_000, heartbeatMs: 100, rebalanceMs: 5_000 };

/** A coordinator that answers what it is told to: who joins is kept waiting until `assign`. */
class ScriptedGroup {
  readonly claims: (readonly number[])[] = [];
  private answerJoin: (() => void) | undefined;
  private assignment: Buffer = Buffer.alloc(0);
  private generationId = 0;
  private isRebalancing = false;

  readonly broker = {
    joinGroup: ({ groupProtocols }: Parameters<GroupBroker['joinGroup']>[0]) => {
      this.claims.push(decodeMetadata('me', groupProtocols[0]!.metadata).owned);
      return new Promise((resolve) => {
        this.answerJoin = () =>
          resolve({ generationId: ++this.generationId, leaderId: 'other', memberId: 'me', members: [] });
      });
    },
    syncGroup: () => Promise.resolve({ memberAssignment: this.assignment }),
    heartbeat: () =>
      this.isRebalancing
        ? Promise.reject(Object.assign(new Error('rebalance'), { type: 'REBALANCE_IN_PROGRESS' }))
        : Promise.resolve(),
    leaveGroup: () => Promise.resolve(),
  };

  rebalance(): void {
    this.isRebalancing = true;
  }

  assign(partitions: readonly number[], isPending: boolean): void {
    this.isRebalancing = false;
    this.assignment = encodeAssignment('t', partitions, isPending);
    this.answerJoin!();
  }
}

it('joins again without what its session lost while the others were waited for', async () => {
  const clock = new ManualClock();
  const group = new ScriptedGroup();
  const channel = { groupCoordinator: () => Promise.resolve(group.broker), close: () => Promise.resolve() };
  const metrics = createMetrics({ namespace: 'test', includeProcess: false });
  const context = {
    client: { openChannel: () => Promise.resolve(channel) },
    clock,
    logger: silentLogger,
    rebalances: metrics.counter('rebalances_total', 'Rebalances.'),
  } as unknown as GroupContext;
  const heard: (readonly number[])[] = [];
  const listener = (partitions: readonly number[]) => Promise.resolve(void heard.push(partitions));
  const member = new GroupMember({ group: 'g', topic: 't', partitions: 2 }, listener, context, OPTIONS);
  const joining = member.join();
  await vi.waitFor(() => expect(group.claims).toHaveLength(1));
  group.assign([0, 1], false);
  await joining;

  group.rebalance();
  await vi.waitFor(async () => {
    await clock.advance(OPTIONS.heartbeatMs);
    expect(group.claims).toHaveLength(2);
  });
  await clock.advance(OPTIONS.sessionMs);
  await vi.waitFor(() => expect(heard.at(-1)).toEqual([]));
  // The others were told of the claim to both: one moves, and is nobody's until this member says that it let go.
  group.assign([0], true);
  await vi.waitFor(async () => {
    await clock.advance(OPTIONS.heartbeatMs);
    expect(group.claims).toHaveLength(3);
  });
  expect(group.claims).toEqual([[], [0, 1], [0]]);
  expect(heard).toEqual([[0, 1], [], [0]]);
  group.assign([0], false);
  await clock.advance(OPTIONS.heartbeatMs);
  await member.leave();
});
