/** `freshet dead-letters list|replay`: what could not be processed, and a second try once the cause is gone. */
import { decodeRecord } from '../../schemas/codec.js';
import type { DeadLetter } from '../../schemas/records.js';
import type { Engine } from '../engine/engine.js';
import { openExisting } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

export interface DeadLetterOptions extends DataOptions {
  readonly limit: number;
  readonly code?: string | undefined;
}

export async function runDeadLettersList(context: CommandContext, options: DeadLetterOptions): Promise<void> {
  const engine = await openExisting(context, options);
  try {
    let shown = 0;
    for await (const letter of deadLetters(engine, options.code)) {
      const { topic, partition, offset, key, code, reason, operator, value } = letter;
      context.terminal.line(JSON.stringify({ topic, partition, offset, key, code, reason, operator, bytes: value.length }));
      if (++shown >= options.limit) break;
    }
    context.terminal.say(`${shown} dead letter(s)`);
  } finally {
    await engine.close();
  }
}

/** Sends records that came from a topic of the engine to it again; their event ids keep repeats out. */
export async function runDeadLettersReplay(context: CommandContext, options: DeadLetterOptions): Promise<void> {
  const engine = await openExisting(context, options);
  try {
    await engine.start();
    const { log } = engine.storage;
    const known = new Set(log.topics().map(({ name }) => name));
    let replayed = 0;
    let foreign = 0;
    for await (const { topic, key, value } of deadLetters(engine, options.code)) {
      if (!known.has(topic) || value.length === 0) {
        foreign++;
        continue;
      }
      await log.append(topic, [{ key, value }]);
      if (++replayed >= options.limit) break;
    }
    await engine.drain();
    context.terminal.result({ replayed, notReplayable: foreign });
  } finally {
    await engine.close();
  }
}

const READ_LIMITS = { recordsMax: 1_000, bytesMax: 4 << 20 };

/** Dead letters that are there at the call, oldest first. */
async function* deadLetters(engine: Engine, code: string | undefined): AsyncIterable<DeadLetter> {
  const { log } = engine.storage;
  const topic = engine.topic('deadLetters');
  for (let partition = 0; partition < log.topic(topic).partitions; partition++) {
    const { start, end } = await log.bounds(topic, partition);
    for (let offset = start; offset < end; ) {
      const batch = await log.read(topic, partition, offset, READ_LIMITS);
      for (const { value } of batch.records) {
        const letter = decodeRecord(value);
        if (letter.kind === 'DeadLetter' && (code === undefined || letter.code === code)) yield letter;
      }
      offset = batch.nextOffset;
    }
  }
}
