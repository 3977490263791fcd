/**
 * Raw configuration: where values come from, before anybody says what they mean.
 *
 * First the file (or text), over it the environment variables that settings name, over those the command line. The
 * result is one tree of plain values for config.ts to parse; what cannot even be placed is a fault already.
 *
 * Invariant: reading never throws; every unreadable source becomes a fault, so that all faults are told at once.
 */
import { readFileSync } from 'node:fs';
import { isEngineError } from '../schemas/errors.js';
import { parseYaml } from './yaml.js';

/** Where the raw values come from; later ones win, in the order given here. */
export interface ConfigSource {
  /** Path of a YAML file, which must exist. */
  readonly file?: string;
  /** YAML text, when there is no file. */
  readonly text?: string;
  /** Usually process.env, handed over by the command line. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Each `section.key=value`, the value read as YAML. */
  readonly overrides?: readonly string[];
}

/** One thing that is wrong: where, what is there, and what was expected there. */
export interface ConfigFault {
  readonly path: string;
  readonly value: unknown;
  readonly expected: string;
}

export type RawTree = Record<string, unknown>;

/** A setting that the environment may set. */
export interface EnvironmentSetting {
  readonly path: readonly [section: string, key: string];
  readonly variable: string;
  /** Whether the value is taken as it is; otherwise it is read as YAML. */
  readonly acceptsText: boolean;
}

export function gatherRaw(
  settings: readonly EnvironmentSetting[],
  source: ConfigSource,
): { raw: RawTree; faults: ConfigFault[] } {
  const faults: ConfigFault[] = [];
  const raw = readBase(source, faults);
  for (const { path, variable, acceptsText } of settings) {
    const text = source.environment?.[variable];
    if (text !== undefined && text !== '') place(raw, path, acceptsText ? text : readScalar(text));
  }
  for (const override of source.overrides ?? []) {
    const separator = override.indexOf('=');
    const path = override.slice(0, separator).split('.');
    if (separator < 0 || path.length < 2 || !path.every((name) => PATH_NAME.test(name))) {
      // Not quoted: the value may be a secret that was meant for some key.
      faults.push({ path: '--set', value: override.split('=')[0], expected: 'section.key=value' });
    } else if (!place(raw, path, readScalar(override.slice(separator + 1)))) {
      faults.push({ path: path.join('.'), value: undefined, expected: 'a key below a section, not below a value' });
    }
  }
  return { raw, faults };
}

/** Starts with a letter: `__proto__` is not a key. */
const PATH_NAME = /^[A-Za-z][\w-]*$/;

function readBase(source: ConfigSource, faults: ConfigFault[]): RawTree {
  const name = source.file ?? 'configuration';
  try {
    const text = source.file === undefined ? (source.text ?? '') : readFileSync(source.file, 'utf8');
    const value = parseYaml(text, name, 'CONFIG_INVALID') ?? {};
    if (isTree(value)) return value;
    faults.push({ path: name, value, expected: 'sections with keys and values' });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const expected = isEngineError(error) ? `YAML without faults (${reason})` : `a readable file (${reason})`;
    faults.push({ path: name, value: undefined, expected });
  }
  return {};
}

/** `8080` is a number, `true` a flag, `[a, b]` a list; what is not YAML stays the text it is. */
function readScalar(text: string): unknown {
  try {
    return parseYaml(text, 'the value', 'CONFIG_INVALID');
  } catch {
    return text;
  }
}

/** Sets the value at a path, creating what is missing on the way; false when a value is in the way. */
function place(raw: RawTree, path: readonly string[], value: unknown): boolean {
  let at = raw;
  for (const name of path.slice(0, -1)) {
    const next = (Object.hasOwn(at, name) ? at[name] : undefined) ?? {};
    if (!isTree(next)) return false;
    at[name] = next;
    at = next;
  }
  at[path[path.length - 1]!] = value;
  return true;
}

export function isTree(value: unknown): value is RawTree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The fault for a key nobody declared, with the nearest one that somebody did. */
export function unknownKey(path: string, key: string, known: readonly string[]): ConfigFault {
  const nearest = known
    .map((candidate) => ({ candidate, distance: editDistance(key.toLowerCase(), candidate.toLowerCase()) }))
    .sort((left, right) => left.distance - right.distance)[0];
  const isNear = nearest !== undefined && nearest.distance <= Math.max(2, key.length / 3);
  const hint = isNear ? `'${nearest.candidate}'` : known.length > 0 ? `one of ${known.join(', ')}` : 'a known key';
  return { path, value: undefined, expected: `no such key, but ${hint}` };
}

/** Levenshtein distance, one row at a time. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, i) => i);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let k = 1; k <= right.length; k++) {
      const replaced = row[k - 1]! + (left[i - 1] === right[k - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[k]! + 1, next[k - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}
