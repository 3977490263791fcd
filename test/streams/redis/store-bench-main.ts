/**
 * How fast a Redis server takes commits, and how long it stands still for one: `[--rows N] [--bytes B] [--seconds S]`.
 *
 * A loop of prefetch and commit as a task makes them: N rows of B bytes out of 100,000 keys, one timer moved for every
 * fourth row, 20 kB of outputs. Script times are the server's own (SLOWLOG), the last line is JSON.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '../../../streams/clock.js';
import { seededRandom } from '../../../streams/random.js';
import { COMMIT, COMMIT_STAGED, DUE_TIMERS, MOVE_IN, TRIM } from '../../../streams/redis/scripts.js';
import type { RedisScript } from '../../../streams/redis/scripts.js';
import type { TaskId } from '../../../streams/state/state-store.js';
import { startRedis } from '../../harness/servers/redis.js';
import { openStore, topologyOf } from './redis-harness.js';

const TASK: TaskId = { stage: 'users', partition: 0 };
const KEYS = 100_000;

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '500' },
    bytes: { type: 'string', default: '400' },
    seconds: { type: 'string', default: '10' },
  },
});
const [rows, bytes, seconds] = [Number(values.rows), Number(values.bytes), Number(values.seconds)];
const server = await startRedis({
  settings: { 'slowlog-log-slower-than': '0', 'slowlog-max-len': '4000' },
});
const open = await openStore(topologyOf(server));
const { store, client } = open;
const random = seededRandom('bench');
const value = Buffer.from(random.bytes(bytes));
await store.acquire(TASK, 'A');
const cpuMs = async (): Promise<number> => {
  const info = String(await client.command(0, 'INFO', 'cpu'));
  const of = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
  return 1_000 * (of('used_cpu_user') + of('used_cpu_sys'));
};
const before = { cpu: await cpuMs(), own: process.cpuUsage() };
const startMs = systemClock.monotonic();
const latencies: number[] = [];
let commits = 0;
while (systemClock.monotonic() - startMs < seconds * 1_000) {
  const picked = [...new Set(Array.from({ length: rows }, () => `user-${random.int(KEYS)}`))];
  await store.prefetch(TASK, { keys: picked, timersBefore: 0, timersMax: 10_000 });
  const moved = picked.filter((_, i) => i % 4 === 0);
  const sentMs = systemClock.monotonic();
  await store.commit(TASK, {
    owner: 'A',
    previous: commits === 0 ? '' : `c${commits}`,
    next: `c${commits + 1}`,
    offset: commits,
    meta: Buffer.alloc(300),
    puts: picked.map((key) => [key, value] as const),
    deletes: [],
    timersAdded: moved.map((key) => ({ time: 1_000 + random.int(1e6), operator: 'session', key })),
    timersRemoved: moved.map((key) => ({ time: 1_000 + random.int(1e6), operator: 'session', key })),
    outputs: [{ topic: 'sessions', records: [{ key: 'k', value: Buffer.alloc(20_000) }] }],
  });
  latencies.push(systemClock.monotonic() - sentMs);
  commits++;
  await store.trimOutbox(TASK, 'A', `c${commits}`);
}
const wallMs = systemClock.monotonic() - startMs;
const own = process.cpuUsage(before.own);
const ownMs = (own.user + own.system) / 1_000;
const redisMs = (await cpuMs()) - before.cpu;
const log = (await client.command(0, 'SLOWLOG', 'GET', '4000')) as [number, number, number, Buffer[]][];
const timesOf = ({ sha }: RedisScript): number[] =>
  log.filter(([, , , args]) => String(args[1]) === sha).map(([, , micros]) => micros / 1_000);
const quantile = (of: number[], q: number): number => of.sort((a, b) => a - b)[Math.floor(q * (of.length - 1))] ?? 0;
const round = (figure: number): number => Math.round(figure * 1_000) / 1_000;
process.stdout.write(
  `${JSON.stringify({
    rows,
    bytes,
    commits,
    rowsPerSecond: Math.round((commits * rows * 1_000) / wallMs),
    rowsPerCoreSecond: Math.round((commits * rows * 1_000) / (ownMs + redisMs)),
    commitMs: { p50: round(quantile(latencies, 0.5)), p99: round(quantile(latencies, 0.99)) },
    scriptMs: Object.fromEntries(
      [COMMIT, COMMIT_STAGED, MOVE_IN, DUE_TIMERS, TRIM].map((script) => {
        const times = timesOf(script);
        return [
          script.name,
          { count: times.length, p50: round(quantile(times, 0.5)), p99: round(quantile(times, 0.99)) },
        ];
      }),
    ),
    ownMs: Math.round(ownMs),
    redisMs: Math.round(redisMs),
  })}\n`,
);
await open.close();
await server.stop();
