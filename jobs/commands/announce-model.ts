/**
 * Announces a published model on the topic `models`, by the engine that holds the data directory.
 *
 * The record carries the signed manifest; whoever reads it checks the registry's bytes against it before using them.
 */
import { encodeRecord } from '../../schemas/codec.js';
import type { EngineCommand } from '../engine/admin.js';

interface Announcement {
  readonly name: string;
  readonly version: string;
  readonly manifest: string;
  readonly checksum: string;
  readonly signature: string;
}

export const announceModelCommand: EngineCommand<Announcement> = {
  name: 'announce-model',
  createsDirectory: true,
  stages: 'quiet',
  async run(engine, output, args, clock) {
    const topic = engine.topic('models');
    const value = encodeRecord('ModelPublished', { ...args, publishedAt: clock.now() });
    await engine.storage.log.append(topic, [{ key: args.name, value }]);
    output.say(`${args.name} ${args.version} announced on '${topic}'`);
  },
};
