/**
 * The stage as its shadow runs it: which operators, under which name.
 *
 * By default all operators run. An operator before the rebuilt one may have withheld records from it (`stop`), any may
 * have moved or removed its cells, and one that fails keeps the record from all of them; so only a shadow of the whole
 * stage is right without knowing the operators. Where none of that happens, `alongside` narrows it to the operator, what
 * it reads, and what is named: a fraction of the work.
 */
import { EngineError } from '../../schemas/errors.js';
import { hash32 } from '../../schemas/ids.js';
import type { AnyOperator } from '../runtime/operator.js';
import type { AnyStage } from '../runtime/topology.js';
import type { TaskId } from '../state/state-store.js';

export interface ShadowSource {
  /** The stage with the operator as it will be after the flip. */
  readonly stage: AnyStage;
  readonly partition: number;
  /** Name of the operator whose state is rebuilt. */
  readonly operator: string;
  /** Tells one rebuild of an operator from the next, from 2 on: `users+session@2`. */
  readonly generation: number;
  /** Operators that run besides the rebuilt one and what it reads; all of the stage when left out. */
  readonly alongside?: readonly string[];
}

export interface ShadowStage {
  readonly stage: AnyStage;
  readonly live: TaskId;
  readonly shadow: TaskId;
  /** Of the operator's name, as in stored rows. */
  readonly hash: number;
  /** What runs, as `name v2`. */
  readonly operators: readonly string[];
}

/** Throws TOPOLOGY_INVALID where an operator is not in the stage. */
export function shadowStageOf(source: ShadowSource): ShadowStage {
  const { stage, partition, operator, generation } = source;
  const wanted = wantedOperators(source);
  const operators = stage.operators.filter(({ name }) => wanted.has(name)) as AnyOperator<unknown>[];
  const name = shadowStageName(stage.name, operator, generation);
  return {
    stage: { ...stage, name, operators },
    live: { stage: stage.name, partition },
    shadow: { stage: name, partition },
    hash: hash32(operator) >>> 0,
    operators: operators.map(({ name: running, state }) => `${running} v${state.version}`),
  };
}

export function shadowStageName(stage: string, operator: string, generation: number): string {
  return `${stage}+${operator}@${generation}`;
}

function wantedOperators({ stage, operator, alongside }: ShadowSource): ReadonlySet<string> {
  const byName = new Map(stage.operators.map((candidate) => [candidate.name, candidate]));
  const wanted = new Set<string>();
  const want = (name: string): void => {
    const found = byName.get(name);
    if (found === undefined) {
      throw new EngineError(
        'TOPOLOGY_INVALID',
        `Stage '${stage.name}' has no operator '${name}' to rebuild or run alongside.`,
      );
    }
    if (wanted.has(name)) return;
    wanted.add(name);
    for (const read of found.reads ?? []) want(read);
  };
  want(operator);
  for (const name of alongside ?? byName.keys()) want(name);
  return wanted;
}
