/** Training beside the engine of this process: trials of published models on live events, and the retrainer they tell. */
import { LiveTrials } from '../../serving/published/live-trials.js';
import type { PublishedModels } from '../../serving/published/published-models.js';
import type { Clock } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import { TableFollower } from '../../streams/runtime/table-follower.js';
import type { FreshetConfig } from '../config.js';
import { ModelRegistry } from '../train/model-registry.js';
import { Retrainer } from '../train/retrainer.js';
import type { SqlWarehouse } from '../warehouse/sql-handler.js';
import type { Engine } from './engine.js';
import { createUserStates } from './serving.js';

export interface TrainingOptions {
  readonly engine: Engine;
  readonly config: FreshetConfig;
  readonly data: string;
  readonly modelsFolder: string;
  readonly published: PublishedModels;
  readonly warehouse: SqlWarehouse;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Undefined when no model is to be trained. */
export async function startTraining(options: TrainingOptions): Promise<{ stop(): Promise<void> } | undefined> {
  const { engine, config, clock, logger } = options;
  if (config.training.models.length === 0) return undefined;
  const registry = new ModelRegistry(options.modelsFolder, clock);
  const retrainer = new Retrainer({ ...options, config: config.training, registry });
  const trials = new LiveTrials({
    ...options,
    users: createUserStates(engine, config),
    tables: engine.tables,
    perSecond: config.training.trialsPerSecond,
    onTrial: (trial) => retrainer.observe(trial),
  });
  const createFollower = (): TableFollower =>
    new TableFollower({
      log: engine.storage.stages.log,
      clock,
      topic: engine.topic('userEvents'),
      from: 'end',
      apply: (record) => trials.apply(record),
      onFault: (error) => logger.debug('an event was no trial', { error }),
      onUnread: (error) => logger.debug('events cannot be read for trials; trying again', { error }),
    });
  let follower = createFollower();
  await follower.open();
  engine.onSwitched(async () => {
    await follower.close();
    follower = createFollower();
    await follower.open();
  });
  retrainer.start();
  return {
    stop: async () => {
      await follower.close();
      await trials.settled();
      await retrainer.stop();
    },
  };
}
