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
 * While one is built, the layout says `closing`: nothing more is acknowledged for the generation in force, and nobody takes its
 * tasks but who announced it. Whoever appends for others or acquires a task reads the layout afterwards: where it does not say
 * `closing`, what was done came before the announcement, and before everything that its author looked at since. So a process
 * that stood still in between, for however long, finds out before it tells anybody of success, and no clock is asked.
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
  /** Partitions of these topics, by logical name; absent in layouts of earlier builds. */
  readonly partitions?: Readonly<Record<string, number>>;
  /** It is in force, or was: what came to nothing is passed over. */
  readonly hasServed: boolean;
}

export interface Closing {
  /** Of who announced it, random. */
  readonly token: string;
  /** Rises for as long as who announced it is alive. */
  readonly beat: number;
}

export interface Layout {
  readonly format: 1;
  /** Number of the generation in force. */
  readonly inForce: number;
  /** By rising number. */
  readonly generations: readonly Generation[];
  /** The generation in force is about to be replaced. */
  readonly closing?: Closing;
}

/** Throws MANIFEST_MISMATCH when the generations belong to another log, STATE_VERSION_UNKNOWN. */
export async function readLayout({ log, store }: { log: EventLog; store: StateStore }): Promise<Layout> {
  return parseLayout(await store.readDocument(LAYOUT_DOCUMENT), log);
}

/** As `readLayout`, of a document's text; undefined: there is none. */
export function parseLayout(text: string | undefined, log: Pick<EventLog, 'identity'>): Layout {
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

/**
 * Throws REPARTITIONING, which is retriable, unless the generation is in force and nobody is about to replace it. `token`: of an
 * announcement that does not count, the caller's own.
 */
export function requireOpen(layout: Layout, number: number, token?: string): void {
  const { inForce, closing } = layout;
  if (inForce === number && (closing === undefined || closing.token === token)) return;
  throw repartitioning();
}

export function repartitioning(): EngineError {
  return new EngineError(
    'REPARTITIONING',
    'The number of partitions is being changed. Nothing is lost: send the same again, with the same event ids.',
  );
}

/**
 * Partitions that a topic has in a generation, as far as layouts tell: of those that never moved they say nothing, nor do those
 * that an earlier build wrote.
 */
export function partitionsOf(layout: Layout, number: number, topic: string): number | undefined {
  return ownerOf(layout, number, topic).partitions?.[topic];
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
