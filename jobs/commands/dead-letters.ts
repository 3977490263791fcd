/** `freshet dead-letters list|replay`: what could not be processed, and a second try once the cause is gone. */
import { decodeRecord } from '../../schemas/codec.js';
import type { DeadLetter } from '../../schemas/records.js';
import { TaskMeta } from '../../streams/runtime/task-meta.js';
import { executeOnEngine } from '../engine/admin.js';
import type { EngineCommand } from '../engine/admin.js';
import type { Engine } from '../engine/engine.js';
import type { CommandContext, DataOptions } from './command.js';

export interface DeadLetterOptions extends DataOptions {
  readonly limit: number;
  readonly code?: string | undefined;
}

interface DeadLetterArguments {
  readonly limit: number;
  readonly code: string | null;
}

export const deadLettersListCommand: EngineCommand<DeadLetterArguments> = {
  name: 'dead-letters-list',
  createsDirectory: false,
  stages: 'quiet',
  async run(engine, output, args) {
    let shown = 0;
    for await (const letter of deadLetters(engine, args.code)) {
      const { topic, partition, offset, key, code, reason, operator, value } = letter;
      output.line(JSON.stringify({ topic, partition, offset, key, code, reason, operator, bytes: value.length }));
      if (++shown >= args.limit) break;
    }
    output.say(`${shown} dead letter(s)`);
  },
};

/** Sends records that came from a topic of the engine to it again; their event ids keep repeats out. */
export const deadLettersReplayCommand: EngineCommand<DeadLetterArguments> = {
  name: 'dead-letters-replay',
  createsDirectory: false,
  stages: 'running',
  async run(engine, output, args) {
    const { log } = engine.storage;
    const known = new Set(log.topics().map(({ name }) => name));
    let replayed = 0;
    let notReplayable = 0;
    for await (const { topic, key, value } of deadLetters(engine, args.code)) {
      if (!known.has(topic) || value.length === 0) {
        notReplayable++;
        continue;
      }
      await log.append(topic, [{ key, value }]);
      if (++replayed >= args.limit) break;
    }
    await engine.drain();
    output.result({ replayed, notReplayable });
  },
};

export async function runDeadLettersList(context: CommandContext, options: DeadLetterOptions): Promise<void> {
  await executeOnEngine(context, options, deadLettersListCommand, argumentsOf(options));
}

export async function runDeadLettersReplay(context: CommandContext, options: DeadLetterOptions): Promise<void> {
  await executeOnEngine(context, options, deadLettersReplayCommand, argumentsOf(options));
}

function argumentsOf({ limit, code }: DeadLetterOptions): DeadLetterArguments {
  return { limit: Math.min(limit, Number.MAX_SAFE_INTEGER), code: code ?? null };
}

const READ_LIMITS = { recordsMax: 1_000, bytesMax: 4 << 20 };

/** Dead letters that are there at the call, oldest first, each once: an import that was cut off sends some again. */
async function* deadLetters(engine: Engine, code: string | null): AsyncIterable<DeadLetter> {
  const { log } = engine.storage;
  const topic = engine.topic('deadLetters');
  const marks = new TaskMeta();
  for (let partition = 0; partition < log.topic(topic).partitions; partition++) {
    const { start, end } = await log.bounds(topic, partition);
    for (let offset = start; offset < end;) {
      const batch = await log.read(topic, partition, offset, READ_LIMITS);
      for (const { key, value, origin } of batch.records) {
        if (origin !== undefined && !marks.admit(origin, key)) continue;
        const letter = decodeRecord(value);
        if (letter.kind === 'DeadLetter' && (code === null || letter.code === code)) yield letter;
      }
      offset = batch.nextOffset;
    }
  }
}
