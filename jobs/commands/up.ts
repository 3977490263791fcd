/**
 * `freshet up`: the engine, all its roles or some, until it is told to stop.
 *
 * With `--demo` the built-in simulator sends traffic and asks for recommendations over HTTP as any client would. The
 * first SIGINT or SIGTERM drains and stops; a second one ends at once.
 */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { createLogger } from '../../streams/logger.js';
import { createMetrics } from '../../streams/metrics.js';
import { EngineError } from '../../schemas/errors.js';
import type { ServingNode } from '../../serving/node/serving-node.js';
import { AdminServer } from '../engine/admin.js';
import { Engine } from '../engine/engine.js';
import { OperationsServer } from '../engine/operations-server.js';
import { createServing } from '../engine/serving.js';
import { startTraining } from '../engine/training.js';
import { createWorld } from '../simulate/world.js';
import { Traffic } from '../simulate/traffic.js';
import { startWarehouse } from '../warehouse/live-warehouse.js';
import { loadConfig } from './command.js';
import type { CommandContext, DataOptions } from './command.js';
import { deadLettersListCommand, deadLettersReplayCommand } from './dead-letters.js';
import { importCommand } from './import.js';
import { createRepartitionCommand } from './repartition.js';
import { createDemoTarget } from './simulate.js';
import { stateDigestCommand, stateExportCommand, stateGetCommand } from './state.js';
import { announceModelCommand } from './announce-model.js';
import { runTrainingWorker } from './training-worker.js';

export interface UpOptions extends DataOptions {
  readonly port?: number | undefined;
  readonly host?: string | undefined;
  readonly roles: string;
  readonly demo?: boolean | undefined;
  readonly rate: number;
  readonly seed: string;
  readonly models: string;
}

const ROLES = ['stream', 'serve', 'warehouse', 'train'] as const;
const STATUS_MS = 1_000;
const VERSION = '0.1.0';

export async function runUp(context: CommandContext, options: UpOptions): Promise<void> {
  const { terminal, clock, random } = context;
  const roles = parseRoles(options.roles);
  const config = loadConfig({
    config: options.config,
    set: [
      ...(options.set ?? []),
      ...(options.port === undefined ? [] : [`serving.port=${options.port}`]),
      ...(options.host === undefined ? [] : [`serving.host=${options.host}`]),
    ],
  });
  if (roles.has('train')) return runTrainingWorker(context, config);
  const logger = createLogger({ level: 'info' });
  const stop = new AbortController();
  let node: ServingNode | undefined;
  let url: string | undefined;
  mkdirSync(options.data, { recursive: true });
  const metrics = createMetrics({ namespace: config.streams.namespace, includeProcess: true });
  const engine = await Engine.open({
    config,
    metrics,
    directory: options.data,
    clock,
    random,
    logger,
    isLive: true,
    onStopped: (error) => stop.abort(error),
    onItemsWithdrawn: (itemIds) => node?.onWithdrawn(itemIds),
  });
  // What runs, in the order in which it was started: it is stopped in the reverse order, also when a later start fails.
  const running: (() => Promise<unknown>)[] = [() => engine.close()];
  try {
    const warehouse = roles.has('warehouse')
      ? await startWarehouse({ engine, config, data: options.data, clock, random, logger, metrics })
      : undefined;
    if (warehouse !== undefined) running.push(() => warehouse.stop());
    const admin = new AdminServer({
      engine,
      directory: options.data,
      commands: [...ADMIN_COMMANDS, createRepartitionCommand({ config, random })],
      sql: warehouse?.sql,
      clock,
      random,
    });
    const isStreaming = roles.has('stream');
    await (isStreaming ? engine.start() : engine.follow());
    await admin.open();
    running.push(() => admin.close());
    if (config.operations.port !== 0) {
      const operations = new OperationsServer({
        config: config.operations,
        engine,
        isStreaming,
        metrics,
        clock,
        logger,
      });
      terminal.say(`  operations  port ${await operations.open()}`);
      running.push(() => operations.close());
    }
    if (roles.has('serve')) {
      const parts = { engine, config, clock, metrics, logger, modelsFolder: resolve(options.models) };
      const { node: started, published } = await createServing({ ...parts, random, version: VERSION });
      node = started;
      running.push(() => started.stop());
      url = `http://${config.serving.host}:${await started.start()}`;
      announce(context, { url, data: options.data, isOpen: config.serving.apiKeys.length === 0 });
      if (warehouse !== undefined) {
        const { reading } = warehouse;
        const training = await startTraining({ ...parts, published, data: options.data, warehouse: reading });
        if (training !== undefined) running.push(() => training.stop());
      }
    }
    const hasDemo = options.demo === true && url !== undefined;
    const demo = hasDemo ? startDemo(context, engine, url!, options, stop.signal) : undefined;
    if (demo !== undefined) running.push(() => demo.done);
    const status = clock.setInterval(STATUS_MS, () => terminal.progress(() => statusLine(engine, node, demo)));
    await untilStopped(stop);
    status.cancel();
    terminal.say('stopping: draining requests and batches');
  } catch (error) {
    stop.abort(error);
  }
  try {
    await stopAll(running);
  } catch (error) {
    if (stop.signal.reason instanceof Stopped) throw error;
    logger.error('a part could not be stopped', { error });
  }
  const reason: unknown = stop.signal.reason;
  if (!(reason instanceof Stopped)) throw reason;
  terminal.say('stopped');
}

const ADMIN_COMMANDS = [
  importCommand,
  stateDigestCommand,
  stateGetCommand,
  stateExportCommand,
  deadLettersListCommand,
  deadLettersReplayCommand,
  announceModelCommand,
];

function parseRoles(text: string): ReadonlySet<string> {
  const roles = text.split(',').map((role) => role.trim());
  for (const role of roles) {
    if (!ROLES.includes(role as (typeof ROLES)[number])) {
      throw new EngineError('USAGE_INVALID', `--roles names '${role}'; expected ${ROLES.join(', ')}.`);
    }
  }
  if (roles.includes('train') && roles.length > 1) {
    throw new EngineError(
      'USAGE_INVALID',
      `--roles is '${text}'; a training worker is a process of its own: expected train alone.`,
    );
  }
  return new Set(roles);
}

function announce({ terminal }: CommandContext, at: { url: string; data: string; isOpen: boolean }): void {
  terminal.say(`freshet is up`);
  terminal.say(`  page      ${at.url}/`);
  terminal.say(`  API       ${at.url}/docs`);
  terminal.say(`  feed      ${at.url.replace('http', 'ws')}/v1/feed`);
  terminal.say(`  metrics   ${at.url}/metrics`);
  terminal.say(`  data      ${at.data}`);
  if (at.isOpen) terminal.say('  access    open without keys, to this machine only');
}

interface Demo {
  readonly traffic: Traffic;
  readonly done: Promise<void>;
}

function startDemo(
  { clock, logger }: CommandContext,
  engine: Engine,
  url: string,
  options: UpOptions,
  signal: AbortSignal,
): Demo {
  const world = createWorld({ seed: options.seed, startMs: clock.now() });
  const target = createDemoTarget(engine, url);
  const onFault = (error: unknown): void => logger.warn('demo traffic', { error });
  const traffic = new Traffic(world, target, { clock, ratePerSecond: options.rate, signal, onFault });
  const done = traffic.run().then(
    () => undefined,
    (error: unknown) => logger.warn('demo traffic stopped', { error }),
  );
  return { traffic, done };
}

function statusLine(engine: Engine, node: ServingNode | undefined, demo: Demo | undefined): string {
  let records = 0;
  for (const counters of engine.worker.statistics().values()) records += counters.records;
  const { items, sessions } = engine.tables.usage();
  const feeds = node === undefined ? '' : `, ${node.hub.subscriptionCount} feeds, ${node.hub.pushed} pushed`;
  const shown = demo === undefined ? '' : `, demo ${demo.traffic.counts.published} published`;
  return `${records} records processed, ${items} items, ${sessions} sessions${feeds}${shown}`;
}

/**
 * One that cannot be stopped must not keep the others running: a process that should end and does not is never replaced.
 * Throws the first such failure.
 */
async function stopAll(running: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of [...running].reverse()) await stop().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** Why an engine stops that was told to. */
class Stopped {}

async function untilStopped(stop: AbortController): Promise<void> {
  const ask = (): void => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort(new Stopped());
  };
  process.on('SIGINT', ask);
  process.on('SIGTERM', ask);
  if (!stop.signal.aborted)
    await new Promise((resolve) => stop.signal.addEventListener('abort', resolve, { once: true }));
  process.off('SIGTERM', ask);
}
