/**
 * Generations of topics and tasks: how the number of partitions changes without touching what is in use.
 *
 * An engine starts with generation 1. A repartition builds the next one beside it, under physical names of its own, and
 * puts it in force by one write of this document; everything else reaches log and state through the view of the generation
 * in force (GenerationLog, GenerationStore) and knows only logical names.
 *
 *   topic  `default.user-events`     generation 3   `default.user-events.g3`
 *   stage  `users`                   generation 3   `users.g3`
 *
 * Generation 1 has the logical names, so an engine that was never repartitioned has no document. Topics that did not move
 * go on under the name they have. Invariant: a number is given out once, also to an attempt that came to nothing.
 */
import { EngineError } from '../../schemas/errors.js';
import type { EventLog } from '../log/event-log.js';
import type { StateStore } from '../state/state-store.js';

export const LAYOUT_DOCUMENT = 'layout';

export interface Generation {
  readonly number: number;
  /**
   * What its tasks call the log in the names of their outputs: offsets mean something in one generation only. The first one
   * has the identity of the log itself.
   */
  readonly identity: string;
  /** Logical names of the topics that have a physical topic of this generation. */
  readonly topics: readonly string[];
  /** It is in force, or was: what came to nothing is passed over. */
  readonly hasServed: boolean;
}

export interface Layout {
  readonly format: 1;
  /** Number of the generation in force. */
  readonly inForce: number;
  /** By rising number. */
  readonly generations: readonly Generation[];
}

/** Throws MANIFEST_MISMATCH when the generations belong to another log, STATE_VERSION_UNKNOWN. */
export async function readLayout({ log, store }: { log: EventLog; store: StateStore }): Promise<Layout> {
  const text = await store.readDocument(LAYOUT_DOCUMENT);
  if (text === undefined) {
    return { format: 1, inForce: 1, generations: [{ number: 1, identity: log.identity, topics: [], hasServed: true }] };
  }
  const layout = JSON.parse(text) as Layout;
  if (layout.format !== 1) {
    throw new EngineError(
      'STATE_VERSION_UNKNOWN',
      `Document '${LAYOUT_DOCUMENT}' has format ${String(layout.format)}; this build reads 1.`,
    );
  }
  const [first] = layout.generations;
  if (first?.identity === log.identity) return layout;
  throw new EngineError(
    'MANIFEST_MISMATCH',
    `The state was repartitioned on log '${first?.identity}', this is log '${log.identity}'. Use the log it was made with.`,
  );
}

export async function writeLayout(store: StateStore, layout: Layout): Promise<void> {
  await store.writeDocument(LAYOUT_DOCUMENT, JSON.stringify(layout));
}

/** Throws an invariant's fault for a number that was never given out. */
export function generationOf({ generations }: Layout, number: number): Generation {
  const found = generations.find((generation) => generation.number === number);
  if (found === undefined) throw new EngineError('INVARIANT_VIOLATED', `There is no generation ${number}.`);
  return found;
}

/** The generation whose physical topic a generation uses: its own, or that of the latest one before that moved it. */
export function ownerOf(layout: Layout, number: number, topic: string): Generation {
  const owner = layout.generations.findLast(
    (candidate) =>
      candidate.number <= number &&
      (candidate.hasServed || candidate.number === number) &&
      candidate.topics.includes(topic),
  );
  return owner ?? layout.generations[0]!;
}

export function physicalName(name: string, number: number): string {
  return number === 1 ? name : `${name}.g${number}`;
}

/** Stages' own names have no dots. */
const STAGE = /^([^.]*)(?:\.g(\d+))?$/;

export interface StageName {
  readonly stage: string;
  readonly generation: number;
}

/** A stage as a store without a view names it. */
export function parseStage(physical: string): StageName {
  const [, stage = physical, generation = '1'] = STAGE.exec(physical) ?? [];
  return { stage, generation: Number(generation) };
}
