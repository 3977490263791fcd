/**
 * Whether two versions of a schema can live side by side: FULL compatibility, both ways.
 *
 * A release runs beside its neighbour while nodes are replaced, and the log keeps what earlier ones wrote; so the newer
 * version must read what the older wrote (backward), and the older what the newer writes (forward). What is asked is
 * exactly what decoding does: both directions are compiled, and what stands against it is the answer.
 */
import { parseSchema, type SchemaSource } from './avro.js';
import { compileReader } from './compile-reader.js';
import { EngineError } from './errors.js';

export interface CompatibilityFinding {
  /** backward: the newer cannot read the older. forward: the older cannot read the newer. */
  readonly direction: 'backward' | 'forward';
  /** `Interaction.context.latitude` */
  readonly path: string;
  readonly reason: string;
}

/** Everything that stands between two versions; empty when they are fully compatible. */
export function findIncompatibilities(older: SchemaSource, newer: SchemaSource): readonly CompatibilityFinding[] {
  const [old, current] = [parseSchema(older).node, parseSchema(newer).node];
  const backward = compileReader(old, current);
  const forward = compileReader(current, old);
  return [
    ...(typeof backward === 'function' ? [] : backward.map((fault) => ({ direction: 'backward' as const, ...fault }))),
    ...(typeof forward === 'function' ? [] : forward.map((fault) => ({ direction: 'forward' as const, ...fault }))),
  ];
}

/** @throws SCHEMA_INCOMPATIBLE with all findings and what to do instead */
export function requireCompatible(name: string, older: SchemaSource, newer: SchemaSource): void {
  const findings = findIncompatibilities(older, newer);
  if (findings.length === 0) return;
  const lines = findings.map((finding) => `  ${finding.direction}: ${finding.path}: ${finding.reason}`);
  throw new EngineError(
    'SCHEMA_INCOMPATIBLE',
    `${name} breaks the version before it; add fields with a default, or a new record, instead of changing what is there\n${lines.join('\n')}`,
    { context: { record: name, findings: findings.length } },
  );
}
