/**
 * The declared shape of a stream application: stages, each with one input topic and a list of operators.
 *
 * One input per stage, because two topics read by one task have no recorded order: with one, the offset is one number
 * and state is a function of the log. `buildTopology` validates everything that can be wrong before anything runs;
 * `describe` renders it for people, as text or as a Mermaid diagram.
 */
import { EngineError } from '../../schemas/errors.js';
import { hash32 } from '../../schemas/ids.js';
import { OPERATORS_MAX } from './cell-layout.js';
import type { AnyOperator } from './operator.js';

/** What the runtime must know about a decoded record. */
export interface RecordTimes {
  /** Event time, ms since epoch. */
  readonly ts: number;
  /** When the edge took it; event time is clamped to this plus the stage's tolerance. undefined: not clamped. */
  readonly receivedAt: number | undefined;
}

/** A record that only the runtime acts on. */
export type RuntimeRecord =
  | { readonly type: 'tick'; readonly time: number; readonly owner: string }
  | { readonly type: 'owner'; readonly owner: string };

/** How a stage reads its input. */
export interface InputCodec<R> {
  /** Throws EngineError CODEC_*; the record then goes to dead letters. */
  decode(value: Buffer): R;
  times(record: R): RecordTimes;
  /** Ticks and owner records; undefined for the application's own. */
  runtimeRecord(record: R): RuntimeRecord | undefined;
  encodeRuntimeRecord(record: RuntimeRecord): Uint8Array;
}

/** What happens to a record that an operator or the codec cannot take. */
export type FaultPolicy = 'continue' | 'fail' | 'dead-letter';

/** What happens to a record whose event time lies further back than the allowed lateness. */
export type LatePolicy = 'process' | 'drop' | 'dead-letter';

export interface StageDeclaration<R> {
  readonly name: string;
  /** Physical topic name. */
  readonly input: string;
  readonly codec: InputCodec<R>;
  /** Run in this order for each record. */
  readonly operators: readonly AnyOperator<R>[];
  /** Topics the operators may write to; anything else is a bug. */
  readonly outputs: readonly string[];
  /**
   * How long a live task that has news waits for more before it reads, ms: fewer and bigger batches. Where its batches take
   * long it waits up to five times as long. Default 0.
   */
  readonly lingerMs?: number;
  /** Nobody waits for what comes out: where others need the event loop, this stage gives way. */
  readonly isBackground?: boolean;
  /** How far event time may run ahead of receivedAt, ms. */
  readonly clockToleranceMs: number;
  /** Lateness beyond which `latePolicy` applies, ms; Infinity: never late. */
  readonly allowedLatenessMs: number;
  readonly latePolicy: LatePolicy;
  readonly faultPolicy: FaultPolicy;
  /** Topic for records that cannot be processed; required by the dead-letter policies. */
  readonly deadLetters: string | undefined;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- stages of different record types live in one list
export type AnyStage = StageDeclaration<any>;

export interface Topology {
  readonly name: string;
  readonly stages: readonly AnyStage[];
}

const NAME_PATTERN = /^[a-z][a-z0-9-]{0,62}$/;

/** Checks the declaration; throws TOPOLOGY_INVALID listing every fault found. */
export function buildTopology(name: string, stages: readonly AnyStage[]): Topology {
  const faults: string[] = [];
  requireUnique(
    stages.map((stage) => stage.name),
    'stage',
    faults,
  );
  requireUnique(
    stages.map((stage) => stage.input),
    'input topic',
    faults,
  );
  for (const stage of stages) faults.push(...stageFaults(stage));
  if (faults.length > 0) {
    throw new EngineError('TOPOLOGY_INVALID', `Topology '${name}' is invalid: ${faults.join('; ')}.`);
  }
  return Object.freeze({ name, stages });
}

function stageFaults(stage: AnyStage): string[] {
  const faults: string[] = [];
  const at = `stage '${stage.name}'`;
  if (!NAME_PATTERN.test(stage.name)) faults.push(`${at}: a stage name is lower-case kebab, at most 63 characters`);
  if (stage.operators.length === 0) faults.push(`${at} has no operators`);
  if (stage.operators.length > OPERATORS_MAX) {
    faults.push(`${at} has ${stage.operators.length} operators, at most ${OPERATORS_MAX} are possible`);
  }
  requireUnique(
    stage.operators.map((operator) => operator.name),
    `${at}: operator`,
    faults,
  );
  requireUnique(
    stage.operators.map((operator) => String(hash32(operator.name))),
    `${at}: operator name hash`,
    faults,
  );
  const earlier = new Set<string>();
  for (const operator of stage.operators) {
    if (!NAME_PATTERN.test(operator.name))
      faults.push(`${at}: operator name '${operator.name}' is not lower-case kebab`);
    for (const read of operator.reads ?? []) {
      if (!earlier.has(read))
        faults.push(`${at}: operator '${operator.name}' reads '${read}', which does not run before it`);
    }
    earlier.add(operator.name);
  }
  const usesDeadLetters = stage.faultPolicy === 'dead-letter' || stage.latePolicy === 'dead-letter';
  if (usesDeadLetters && stage.deadLetters === undefined) faults.push(`${at}: a dead-letter policy needs a topic`);
  if (stage.clockToleranceMs < 0) faults.push(`${at}: clockToleranceMs is ${stage.clockToleranceMs}, expected ≥ 0`);
  if (stage.allowedLatenessMs < 0) faults.push(`${at}: allowedLatenessMs is ${stage.allowedLatenessMs}, expected ≥ 0`);
  return faults;
}

function requireUnique(values: readonly string[], what: string, faults: string[]): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) faults.push(`${what} '${value}' is declared twice`);
    seen.add(value);
  }
}

/** Renders the topology for people. */
export function describeTopology(topology: Topology, form: 'text' | 'mermaid' = 'text'): string {
  return form === 'text' ? describeAsText(topology) : describeAsMermaid(topology);
}

function describeAsText(topology: Topology): string {
  const lines = [`topology ${topology.name}`];
  for (const stage of topology.stages) {
    lines.push(`  stage ${stage.name} ← ${stage.input}`);
    for (const operator of stage.operators) {
      const reads = operator.reads?.length ? `, reads ${operator.reads.join(', ')}` : '';
      lines.push(
        `    ${operator.name} v${operator.state.version} (${operator.scope ?? 'key'}, ${operator.purity}${reads})`,
      );
    }
    if (stage.outputs.length > 0) lines.push(`    → ${stage.outputs.join(', ')}`);
  }
  return lines.join('\n');
}

function describeAsMermaid(topology: Topology): string {
  const id = (name: string): string => name.replace(/[^A-Za-z0-9]/g, '_');
  const lines = ['flowchart LR'];
  for (const stage of topology.stages) {
    lines.push(`  ${id(stage.input)}[(${stage.input})] --> ${id(stage.name)}`);
    lines.push(`  subgraph ${id(stage.name)}[${stage.name}]`);
    for (const operator of stage.operators) lines.push(`    ${id(stage.name)}_${id(operator.name)}[${operator.name}]`);
    lines.push('  end');
    for (const output of stage.outputs) lines.push(`  ${id(stage.name)} --> ${id(output)}[(${output})]`);
  }
  return lines.join('\n');
}
