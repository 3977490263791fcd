/** Training shared out over a real Redis gives what a single process gives, also when workers are killed or held up. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { freshetConfig } from '../../../jobs/config.js';
import type { CaseList } from '../../../jobs/evaluate/case-list.js';
import { evaluationSchema } from '../../../jobs/evaluate/evaluation-schema.js';
import { splitByProtocol } from '../../../jobs/evaluate/protocols.js';
import { rankCases } from '../../../jobs/evaluate/ranking.js';
import { runFit } from '../../../jobs/train/fit-run.js';
import { combinations, runTrial } from '../../../jobs/train/trial.js';
import type { Trial, TrialContext } from '../../../jobs/train/trial.js';
import { SharedRows } from '../../../jobs/work/half-sweep-work.js';
import { artefactOf, shareRanking } from '../../../jobs/work/ranking-work.js';
import { shareTrials } from '../../../jobs/work/trial-work.js';
import { TrainingWorker } from '../../../jobs/work/training-worker.js';
import { WorkPool } from '../../../jobs/work/work-pool.js';
import { requireAlgorithm } from '../../../serving/models/algorithms.js';
import type { TrainingSet } from '../../../serving/models/training-set.js';
import { systemClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { seededRandom, systemRandom } from '../../../streams/random.js';
import { RedisClient, redisClientOptionsOf } from '../../../streams/redis/index.js';
import { FreshetProcess, killAll } from '../../e2e/freshet.js';
import { until } from '../../e2e/until.js';
import { describeWithRedis } from '../../harness/servers/needs.js';
import { startRedis } from '../../harness/servers/redis.js';
import type { RedisServer } from '../../harness/servers/redis.js';
import { smallWorld } from '../../serving/models/small-world.js';

const SIGNAL = new AbortController().signal;
const WORLD = smallWorld({ users: 400, items: 120, interactionsPerUser: 12 });
const run = { clock: systemClock, logger: silentLogger, signal: SIGNAL, threads: 1, memoryBytesMax: 2 ** 30 };
const CONTEXT: TrialContext = run;

describeWithRedis('training shared out to workers', () => {
  let redis: RedisServer;
  let overrides: string[];
  const closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
    await killAll();
  });
  afterAll(() => redis?.stop());

  const configure = (name: string, ...more: string[]): void => {
    const common = [`redis.addresses=${redis.address}`, `streams.namespace=${name}`, 'training.workerLockMs=1000'];
    overrides = [...common, ...more];
  };
  const loadConfig = () => freshetConfig.load({ overrides });

  async function openPool(): Promise<WorkPool> {
    const options = { config: loadConfig(), clock: systemClock, random: systemRandom(), logger: silentLogger };
    const pool = await WorkPool.open(options);
    closing.push(() => pool.close());
    return pool;
  }

  async function startWorker(): Promise<void> {
    const worker = await TrainingWorker.start({ config: loadConfig(), clock: systemClock, logger: silentLogger });
    closing.push(() => worker.stop());
  }

  function spawnWorker(): FreshetProcess {
    return new FreshetProcess(['up', '--roles', 'train', ...overrides.flatMap((text) => ['--set', text])]);
  }

  /** Keys of inputs and answers that are left. */
  async function blobsLeft(name: string): Promise<number> {
    const client = await RedisClient.open({ ...redisClientOptionsOf(loadConfig().redis), clock: systemClock });
    let keys = 0;
    for await (const found of client.scan(0, `${name}:train:*`)) keys += found.length;
    client.close();
    return keys;
  }

  it('solves half-sweeps to the same bytes, by two workers, and leaves nothing on Redis', async () => {
    configure('sweeps');
    await Promise.all([startWorker(), startWorker()]);
    const pool = await openPool();
    const rowSolver = new SharedRows(pool, SIGNAL);
    const shared = await fitIals(WORLD, { rowSolver });
    await rowSolver.close();
    const alone = await fitIals(WORLD, {});
    expect(shared.save()).toEqual(alone.save());
    expect(await blobsLeft('sweeps')).toBe(0);
  });

  it.each(['ials', 'item_knn', 'graph_filter'])('ranks by %s to the same lists', async (name) => {
    configure(`ranks${name.replace('_', '')}`);
    await Promise.all([startWorker(), startWorker()]);
    const pool = await openPool();
    const { train, cases } = leaveLastOut(WORLD);
    const { model, settings } = await runFit(await requireAlgorithm(name), {}, train, {
      ...run,
      random: seededRandom('fit'),
    });
    const options = { depth: 10, withAuc: true, signal: SIGNAL };
    const shares: number[] = [];
    const onProgress = (share: number): number => shares.push(share);
    const shared = await shareRanking(pool, artefactOf(model, settings), cases, { ...options, onProgress });
    expect(shared).toEqual(await rankCases(model, cases, { ...options, random: seededRandom('any') }));
    expect(shares.length).toBeGreaterThan(1);
    expect(shares.at(-1)).toBe(1);
  });

  it('tries settings to the same figures, and tells a setting that fails as its worker met it', async () => {
    configure('trials', 'training.memoryMiB=64');
    await startWorker();
    const pool = await openPool();
    const values = { factors: [2, 8], alpha: [1, 20] };
    const trials = await combinations('ials', values, { seed: '3' });
    const shared = await shareTrials(pool, WORLD, trials, { signal: SIGNAL });
    const alone = [];
    for (const trial of trials) alone.push(await runTrial(WORLD, trial, CONTEXT));
    expect(shared).toEqual(alone);
    const tooLarge: Trial = { algorithm: 'ials', settings: { factors: 512 }, seed: '1' };
    const many = { ...WORLD, itemIds: Array.from({ length: 40_000 }, (_, i) => `i${i}`) };
    await expect(shareTrials(pool, many, [tooLarge], { signal: SIGNAL })).rejects.toMatchObject({
      code: 'MODEL_TOO_LARGE',
    });
    expect(await blobsLeft('trials')).toBe(0);
  });

  it('gives the shard of a killed worker to another, and counts it once', async () => {
    configure('killed');
    const pool = await openPool();
    const first = spawnWorker();
    const trials = await combinations('ials', { epochs: [100, 101] }, { seed: '1' });
    const answering = shareTrials(pool, WORLD, trials, { signal: SIGNAL });
    await first.says(/shard taken/, 60_000);
    await first.kill();
    const second = spawnWorker();
    await second.says(/is given to another worker/, 60_000);
    const alone = [];
    for (const trial of trials) alone.push(await runTrial(WORLD, trial, CONTEXT));
    expect(await answering).toEqual(alone);
    expect(first.stderr).not.toContain('shard done');
    expect(await blobsLeft('killed')).toBe(0);
  });

  it('hands the shard of a stopped worker to another at once', async () => {
    // The lock outlasts the test: only what was handed back can be taken.
    configure('stopped', 'training.workerLockMs=600000');
    const pool = await openPool();
    const first = spawnWorker();
    const trials = await combinations('ials', { epochs: [300] }, { seed: '1' });
    const answering = shareTrials(pool, WORLD, trials, { signal: SIGNAL });
    await first.says(/shard taken/, 60_000);
    expect((await first.stop()).code).toBe(0);
    expect(first.stderr).toContain('shard handed back');
    const second = spawnWorker();
    await second.says(/shard done/, 60_000);
    expect(await answering).toEqual([await runTrial(WORLD, trials[0]!, CONTEXT)]);
    expect(first.stderr).not.toContain('shard done');
    expect(await blobsLeft('stopped')).toBe(0);
  });

  it('takes one answer of a shard that two workers finished', async () => {
    configure('held');
    const pool = await openPool();
    const held = spawnWorker();
    // Long enough that the first worker stands still within it, on a quick machine too.
    const trials = await combinations('ials', { epochs: [1_000] }, { seed: '1' });
    const answering = shareTrials(pool, WORLD, trials, { signal: SIGNAL });
    await held.says(/shard taken/, 60_000);
    process.kill(held.pid, 'SIGSTOP');
    const second = spawnWorker();
    await second.says(/shard done/, 60_000);
    process.kill(held.pid, 'SIGCONT');
    expect(await answering).toEqual([await runTrial(WORLD, trials[0]!, CONTEXT)]);
    await held.says(/shard done/, 60_000);
    // A late answer is nobody's: the next shards get their own.
    const next = await combinations('ials', { epochs: [1, 2] }, { seed: '1' });
    const alone = [];
    for (const trial of next) alone.push(await runTrial(WORLD, trial, CONTEXT));
    expect(await shareTrials(pool, WORLD, next, { signal: SIGNAL })).toEqual(alone);
  });

  it('gives up when nobody works, and takes its shards back', async () => {
    configure('nobody', 'training.workersWaitMs=300');
    const pool = await openPool();
    const trials = await combinations('popularity', {}, { seed: '1' });
    await expect(shareTrials(pool, WORLD, trials, { signal: SIGNAL })).rejects.toMatchObject({
      code: 'WORKERS_UNAVAILABLE',
    });
    expect(await blobsLeft('nobody')).toBe(0);
  });

  it('a worker drains and ends when it is told to', async () => {
    configure('ends');
    const worker = spawnWorker();
    await worker.says(/takes shards of training/, 60_000);
    expect((await worker.stop()).code).toBe(0);
    await until('the end', () => worker.end !== undefined);
  });

  it('refuses a Redis Cluster, whose slots a queue cannot span', async () => {
    configure('cluster', 'redis.mode=cluster');
    await expect(
      TrainingWorker.start({ config: loadConfig(), clock: systemClock, logger: silentLogger }),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

async function fitIals(set: TrainingSet, more: { rowSolver?: SharedRows }) {
  const settings = { factors: 16, epochs: 3 };
  const options = { ...run, ...more, random: seededRandom('fit') };
  return (await runFit(await requireAlgorithm('ials'), settings, set, options)).model;
}

function leaveLastOut(set: TrainingSet): { train: TrainingSet; cases: CaseList } {
  const evaluation = evaluationSchema.parse({
    name: 'holdout',
    data: { file: '-', mapping: '-' },
    models: [{ algorithm: '-' }],
    protocol: { name: 'leave-last-out' },
  });
  return splitByProtocol(set, evaluation.protocol, seededRandom('split'));
}
