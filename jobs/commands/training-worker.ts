/** `freshet up --roles train`: a process that takes shards of training, and no engine. */
import { createLogger } from '../../streams/logger.js';
import type { FreshetConfig } from '../config.js';
import { TrainingWorker } from '../work/training-worker.js';
import type { CommandContext } from './command.js';

export async function runTrainingWorker({ terminal, clock }: CommandContext, config: FreshetConfig): Promise<void> {
  const logger = createLogger({ level: 'info' });
  // Before the start: the first shard may be taken while that is still on its way.
  const told = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  const worker = await TrainingWorker.start({ config, clock, logger });
  terminal.say(`freshet takes shards of training from ${config.redis.addresses}`);
  await told;
  terminal.say('stopping: what is worked on goes to another worker');
  await worker.stop();
  terminal.say('stopped');
}
