/** Group membership on a real broker: who works on what, and when they may. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../../streams/clock.js';
import type { KafkaLog, KafkaLogOptions } from '../../../streams/kafka/index.js';
import type { Membership } from '../../../streams/log/event-log.js';
import { describeWithKafka } from '../../harness/servers/needs.js';
import { TcpProxy } from '../../harness/servers/tcp-proxy.js';
import { broker, freshPrefix, openLog, startBroker, stopBroker } from './kafka-harness.js';

const PARTITIONS = 4;
const PATIENCE = { timeout: 40_000, interval: 50 };
const TUNING = { heartbeatMs: 300, requestTimeoutMs: 2_000 };

describeWithKafka('a group on a Kafka log', () => {
  let proxy: TcpProxy;
  beforeAll(async () => {
    proxy = await TcpProxy.open();
    await startBroker({ proxyPort: proxy.port });
    proxy.setPort(broker().proxiedPorts[0]!);
  });
  afterAll(async () => {
    await stopBroker();
    await proxy?.close();
  });
  const members: Member[] = [];
  const overlaps: string[] = [];
  afterEach(async () => {
    proxy.heal();
    for (const member of members) await member.end();
    members.splice(0);
    expect(overlaps.splice(0)).toEqual([]);
  });

  /** All assignments of a member, the present one last. */
  class Member {
    readonly history: (readonly number[])[] = [];
    private constructor(
      readonly log: KafkaLog,
      private readonly stopMs: number,
    ) {}
    private membership: Membership | undefined;

    static async join(prefix: string, overrides: Partial<KafkaLogOptions> = {}, stopMs = 0): Promise<Member> {
      const log = await openLog({ prefix, tuning: TUNING, ...overrides });
      await log.createTopics([{ name: 'events', partitions: PARTITIONS, class: 'event' }]);
      const member = new Member(log, stopMs);
      members.push(member);
      member.membership = await log.join('group', 'events', (partitions) => member.assigned(partitions));
      return member;
    }

    get owned(): readonly number[] {
      return this.history.at(-1) ?? [];
    }

    private async assigned(partitions: readonly number[]): Promise<void> {
      // Losses take time to act on, and nobody may get a partition before that.
      const lost = this.owned.filter((partition) => !partitions.includes(partition));
      if (lost.length > 0 && this.stopMs > 0) await systemClock.sleep(this.stopMs);
      this.history.push([...partitions].sort());
      const all = members.flatMap(({ owned }) => owned);
      if (new Set(all).size !== all.length) overlaps.push(members.map(({ owned }) => owned.join()).join(' | '));
    }

    async leave(): Promise<void> {
      await this.membership!.leave();
    }

    async end(): Promise<void> {
      await this.log.close();
    }
  }

  it('leaves what a member keeps alone when others come and go', async () => {
    const prefix = freshPrefix();
    const first = await Member.join(prefix, {}, 300);
    expect(first.owned).toEqual([0, 1, 2, 3]);
    const second = await Member.join(prefix);
    await expect.poll(() => [first.owned.length, second.owned.length], PATIENCE).toEqual([2, 2]);
    // Two lost, once; what it keeps was never taken away, and nobody had a partition twice.
    expect(first.history.length).toBe(2);
    const kept = first.owned;
    await second.leave();
    await expect.poll(() => first.owned, PATIENCE).toEqual([0, 1, 2, 3]);
    expect(first.history.every((own) => kept.every((partition) => own.includes(partition)))).toBe(true);
  });

  it('gives a member that is gone to the others after its session, and takes it back without overlap', async () => {
    const prefix = freshPrefix();
    const lost = await Member.join(prefix, { brokers: [proxy.address] });
    const steady = await Member.join(prefix);
    await expect.poll(() => [lost.owned.length, steady.owned.length], PATIENCE).toEqual([2, 2]);
    const started = systemClock.monotonic();
    proxy.hold();
    // It lets go by itself, before the broker gives its partitions away.
    await expect.poll(() => lost.owned, PATIENCE).toEqual([]);
    await expect.poll(() => steady.owned, PATIENCE).toEqual([0, 1, 2, 3]);
    expect(systemClock.monotonic() - started).toBeLessThan(12_000);
    proxy.heal();
    await expect.poll(() => [lost.owned.length, steady.owned.length], PATIENCE).toEqual([2, 2]);
  });

  it('shares among many, in few moves', async () => {
    const prefix = freshPrefix();
    const all = [await Member.join(prefix), await Member.join(prefix), await Member.join(prefix)];
    const shares = (): string => {
      const owned = all.flatMap((member) => [...member.owned]).sort();
      const counts = all.map((member) => member.owned.length).sort();
      return `${owned.join()} as ${counts.join()}`;
    };
    await expect.poll(shares, PATIENCE).toBe('0,1,2,3 as 1,1,2');
  });
});
