/**
 * The state's manifest: which log, topology and partition counts the stored state belongs to.
 *
 * State is keyed by partition and its offsets mean something in one log only. Opening it with another partition count
 * or another log would silently corrupt it, so a mismatch refuses to start and says what to do.
 */
import { EngineError } from '../../schemas/errors.js';
import type { EventLog } from '../log/event-log.js';
import type { StateStore } from '../state/state-store.js';
import type { Topology } from './topology.js';

export const MANIFEST_DOCUMENT = 'manifest';
/** How far a migration into this store has come; absent where there never was one. */
export const MIGRATION_DOCUMENT = 'migration';

export interface Migration {
  readonly format: 1;
  /** Identity of the log that moves. */
  readonly source: string;
  readonly phase: 'copying' | 'done';
}

interface Manifest {
  readonly format: 1;
  readonly log: string;
  readonly topology: string;
  readonly stages: Readonly<Record<string, { readonly input: string; readonly partitions: number }>>;
}

/** Writes the manifest on first use; afterwards throws MANIFEST_MISMATCH where it differs. New stages are added. */
export async function requireManifest(
  topology: Topology,
  { log, store }: { readonly log: EventLog; readonly store: StateStore },
): Promise<void> {
  if ((await readMigration(store))?.phase === 'copying') {
    throw new EngineError('MANIFEST_MISMATCH', 'A migration into this store is not finished: give the command again.');
  }
  const wanted = manifestOf(topology, log);
  const text = await store.readDocument(MANIFEST_DOCUMENT);
  const stored = text === undefined ? undefined : (JSON.parse(text) as Manifest);
  if (stored !== undefined) {
    const faults = differences(stored, wanted);
    if (faults.length > 0) {
      throw new EngineError(
        'MANIFEST_MISMATCH',
        `The stored state does not belong to this log and topology: ${faults.join('; ')}. Use the configuration it was made with, or repartition it.`,
      );
    }
  }
  const merged: Manifest = { ...wanted, stages: { ...stored?.stages, ...wanted.stages } };
  const next = JSON.stringify(merged);
  if (next !== text) await store.writeDocument(MANIFEST_DOCUMENT, next);
}

export async function readMigration(store: StateStore): Promise<Migration | undefined> {
  const text = await store.readDocument(MIGRATION_DOCUMENT);
  return text === undefined ? undefined : (JSON.parse(text) as Migration);
}

function manifestOf(topology: Topology, log: EventLog): Manifest {
  const stages = topology.stages.map(
    (stage) => [stage.name, { input: stage.input, partitions: log.topic(stage.input).partitions }] as const,
  );
  return { format: 1, log: log.identity, topology: topology.name, stages: Object.fromEntries(stages) };
}

function differences(stored: Manifest, wanted: Manifest): string[] {
  const faults: string[] = [];
  if (stored.log !== wanted.log) faults.push(`it was made from log '${stored.log}', this is log '${wanted.log}'`);
  if (stored.topology !== wanted.topology) {
    faults.push(`it belongs to topology '${stored.topology}', this is '${wanted.topology}'`);
  }
  for (const [name, stage] of Object.entries(wanted.stages)) {
    const before = stored.stages[name];
    if (before === undefined) continue;
    if (before.input !== stage.input) faults.push(`stage '${name}' read '${before.input}', now '${stage.input}'`);
    if (before.partitions !== stage.partitions) {
      faults.push(
        `stage '${name}' has state of ${before.partitions} partitions, its input now has ${stage.partitions}`,
      );
    }
  }
  return faults;
}
