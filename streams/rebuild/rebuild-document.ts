/**
 * The rebuild's own record of how far it has come: a document in the state store, one a partition, operator and
 * generation.
 *
 *     (none) ──▶ preparing ──▶ building ──▶ flipping ──▶ flipped
 *                    └─────────────┴────────────┴──▶ (none)      abandoned: the live task was never touched
 *
 * `flipping` is written before the one commit that flips, with that commit's id: whoever finds it asks the live task
 * whether its last commit has this id, and knows on which side of the flip the crash was.
 */
import { EngineError } from '../../schemas/errors.js';
import type { StateStore } from '../state/state-store.js';

export type RebuildPhase = 'preparing' | 'building' | 'flipping' | 'flipped';

export interface RebuildDocument {
  readonly format: 1;
  readonly phase: RebuildPhase;
  /** Operators that run in the shadow, as `name v2`: another build must not go on with it. */
  readonly operators: readonly string[];
  /** Of the flip; -1 before. */
  readonly offset: number;
  readonly commitId: string;
}

export function rebuildDocumentName(shadowStage: string, partition: number): string {
  return `rebuild/${shadowStage}/${partition}`;
}

/** undefined when there is none, or it was abandoned. */
export async function readRebuild(store: StateStore, name: string): Promise<RebuildDocument | undefined> {
  const text = await store.readDocument(name);
  if (text === undefined || text === '') return undefined;
  const found = JSON.parse(text) as RebuildDocument;
  if (found.format === 1) return found;
  throw new EngineError(
    'STATE_VERSION_UNKNOWN',
    `Document '${name}' has format ${String(found.format)}; this build reads 1.`,
  );
}

export async function writeRebuild(store: StateStore, name: string, found: RebuildDocument): Promise<void> {
  await store.writeDocument(name, JSON.stringify(found));
}

/** Documents cannot be removed; an empty one counts as none. */
export async function forgetRebuild(store: StateStore, name: string): Promise<void> {
  await store.writeDocument(name, '');
}
