/**
 * Configuration: declared once, checked once, frozen once.
 *
 * Each package declares its own section with `defineSection`: per key a schema with default, unit and description
 * beside it. jobs/ composes the sections with `defineConfig`; nothing here knows what the sections are about.
 * A load goes raw (file, then environment, then command line) -> parsed -> cross-checked -> frozen, and reports ALL
 * faults in one CONFIG_INVALID. The environment may only set secrets and addresses.
 *
 * Invariant: a loaded configuration is complete, checked and immutable, and no secret is ever quoted in a message.
 */
import { z } from 'zod';
import { EngineError, invariant } from '../schemas/errors.js';
import { type ConfigFault, type ConfigSource, gatherRaw, isTree, type RawTree, unknownKey } from './config-source.js';

export type { ConfigFault, ConfigSource } from './config-source.js';
/** For `setting.of`: what zod can say is not said twice. */
export { z };

export interface About {
  /** One sentence for the reference: what it does and what a larger value costs. */
  readonly description: string;
  /** 'ms', 'bytes', 'records' …; omitted for what has none. */
  readonly unit?: string;
  /** Environment variable that may set this secret. A secret is never shown, and absent from the sample file. */
  readonly secret?: `FRESHET_${string}`;
  /** Environment variable that may set this address. */
  readonly address?: `FRESHET_${string}`;
}

type Shape = Readonly<Record<string, z.ZodType>>;

const abouts = new WeakMap<z.ZodType, About>();

function declare<S extends z.ZodType>(schema: S, about: About): S {
  abouts.set(schema, about);
  return schema;
}

/** What a key can be. Bounds are inclusive. */
export const setting = {
  integer: (about: About & { default: number; min: number; max: number }) =>
    declare(z.int().min(about.min).max(about.max).default(about.default), about),
  /** A number that may be absent, where no one default fits; the value is undefined then. */
  optionalInteger: (about: About & { min: number; max: number }) =>
    declare(z.int().min(about.min).max(about.max).optional(), about),
  number: (about: About & { default: number; min: number; max: number }) =>
    declare(z.number().min(about.min).max(about.max).default(about.default), about),
  flag: (about: About & { default: boolean }) => declare(z.boolean().default(about.default), about),
  text: (about: About & { default: string }) => declare(z.string().default(about.default), about),
  /** Text that may be absent; the value is undefined then. */
  optionalText: (about: About) => declare(z.string().min(1).optional(), about),
  choice: <const V extends readonly [string, ...string[]]>(values: V, about: About & { default: V[number] }) =>
    declare(z.literal(values).default(about.default as never), about),
  /** Anything else zod can say; give the schema its default or make it optional. */
  of: <S extends z.ZodType>(schema: S, about: About): S => declare(schema, about),
};

export interface Section<S extends Shape = Shape> {
  readonly name: string;
  readonly description: string;
  readonly schema: z.ZodObject<S>;
  /** Fault paths are relative to the section. */
  check(values: Readonly<z.output<z.ZodObject<S>>>): readonly ConfigFault[];
}

/** What a section holds once loaded: `type ServingConfig = SectionValues<typeof servingSection>`. */
export type SectionValues<T> = T extends Section<infer S> ? Readonly<z.output<z.ZodObject<S>>> : never;

export interface SectionOptions<S extends Shape> {
  readonly description: string;
  /** What one key demands of another of the same section. Runs when every key is valid by itself. */
  readonly check?: (values: Readonly<z.output<z.ZodObject<S>>>) => readonly ConfigFault[];
}

const NAME = /^[a-z][A-Za-z0-9]*$/;

/** Declares a section; `name` is its key in the file. */
export function defineSection<S extends Shape>(name: string, shape: S, options: SectionOptions<S>): Section<S> {
  invariant(NAME.test(name), `Section '${name}' is not camelCase`);
  for (const [key, schema] of Object.entries(shape)) {
    invariant(NAME.test(key), `Setting '${name}.${key}' is not camelCase`);
    invariant(abouts.has(schema), `Setting '${name}.${key}' is not declared with setting.*`);
    invariant(schema.safeParse(undefined).success, `Setting '${name}.${key}' needs a default, or to be optional`);
  }
  const { description, check = () => [] } = options;
  return { name, description, schema: z.strictObject(shape), check };
}

/** A key in plain words, for the reference and the sample. */
export interface SettingDescription extends About {
  readonly key: string;
  readonly type: string;
  /** Undefined for an optional key. */
  readonly defaultValue: unknown;
}

export interface SectionDescription {
  readonly name: string;
  readonly description: string;
  readonly settings: readonly SettingDescription[];
}

export interface ConfigDefinition<C> {
  /** Throws CONFIG_INVALID listing every fault. */
  load(source?: ConfigSource): C;
  /** Every fault there is; empty when `load` would succeed. */
  faults(source?: ConfigSource): readonly ConfigFault[];
  /** A copy fit for logs and screens: secrets, and passwords inside addresses, are masked. */
  redacted(config: C): Record<string, Record<string, unknown>>;
  describe(): SectionDescription[];
}

type Sections = Readonly<Record<string, Section>>;
/** Keyed like the sections it was composed from. */
export type ConfigOfSections<T> = { readonly [K in keyof T]: SectionValues<T[K]> };
/** The frozen type a definition loads: `type FreshetConfig = ConfigOf<typeof freshetConfig>`. */
export type ConfigOf<D> = D extends ConfigDefinition<infer C> ? C : never;

/** Composes sections. `check` states what one section demands of another; its fault paths are whole. */
export function defineConfig<T extends Sections>(
  sections: T,
  check: (config: ConfigOfSections<T>) => readonly ConfigFault[] = () => [],
): ConfigDefinition<ConfigOfSections<T>> {
  for (const [key, section] of Object.entries(sections)) {
    invariant(key === section.name, `Section '${section.name}' is composed under another name, '${key}'`);
  }
  const read = (source: ConfigSource): { config: ConfigOfSections<T>; faults: ConfigFault[] } => {
    const { raw, faults } = gatherRaw(Object.values(sections).flatMap(overridable), source);
    const parsed = parseSections(sections, raw);
    faults.push(...parsed.faults);
    const config = parsed.values as ConfigOfSections<T>;
    if (faults.length === 0) faults.push(...check(config));
    return { config, faults };
  };
  return {
    load(source = {}) {
      const { config, faults } = read(source);
      if (faults.length > 0) throw invalid(faults);
      return deepFreeze(config);
    },
    faults: (source = {}) => read(source).faults,
    redacted: (config) => mapEntries(config, (name, values) => maskAll(sections[name], values)),
    describe: () => Object.values(sections).map(describeSection),
  };
}

function overridable(section: Section): { path: [string, string]; variable: string; acceptsText: boolean }[] {
  return Object.entries(section.schema.shape).flatMap(([key, schema]) => {
    const variable = abouts.get(schema)?.secret ?? abouts.get(schema)?.address;
    if (variable === undefined) return [];
    return [{ path: [section.name, key], variable, acceptsText: typeText(schema).startsWith('text') }];
  });
}

function parseSections(sections: Sections, raw: RawTree): { values: RawTree; faults: ConfigFault[] } {
  const faults = Object.keys(raw)
    .filter((name) => !Object.hasOwn(sections, name))
    .map((name) => unknownKey(name, name, Object.keys(sections)));
  const values: RawTree = {};
  for (const [name, section] of Object.entries(sections)) {
    const parsed = section.schema.safeParse((Object.hasOwn(raw, name) ? raw[name] : undefined) ?? {});
    if (!parsed.success) {
      faults.push(...parsed.error.issues.flatMap((issue) => toFaults(section, raw[name], issue)));
      continue;
    }
    values[name] = parsed.data;
    for (const { path, value, expected } of section.check(parsed.data)) {
      faults.push({ path: `${name}.${path}`, value: mask(section, path.split('.')[0], value), expected });
    }
  }
  return { values, faults };
}

function toFaults(section: Section, raw: unknown, issue: z.core.$ZodIssue): ConfigFault[] {
  const steps = issue.path.map(String);
  const [key] = steps;
  const path = [section.name, ...steps].join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = key === undefined ? Object.keys(section.schema.shape) : [];
    return issue.keys.map((unknown) => unknownKey(`${path}.${unknown}`, unknown, known));
  }
  if (key === undefined) return [{ path, value: raw, expected: 'keys and values' }];
  const schema = section.schema.shape[key];
  const isByType = schema !== undefined && steps.length === 1 && TYPE_ISSUES.has(issue.code);
  const value = steps.reduce<unknown>(
    (at, step) => (isTree(at) || Array.isArray(at) ? Reflect.get(at, step) : at),
    raw,
  );
  const expected = isByType && !Array.isArray(value) ? typeText(schema) : issue.message;
  return [{ path, value: mask(section, key, value), expected }];
}

/** Faults that the words for the type explain better than zod's own message does. */
const TYPE_ISSUES: ReadonlySet<string> = new Set(['invalid_type', 'invalid_value', 'too_small', 'too_big']);

function invalid(faults: readonly ConfigFault[]): EngineError {
  const lines = faults.map(({ path, value, expected }) => {
    const given = value === undefined ? '' : ` = ${JSON.stringify(value)}`;
    return `  ${path}${given}: expected ${expected}`;
  });
  const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`;
  return new EngineError('CONFIG_INVALID', [`The configuration has ${count}:`, ...lines].join('\n'), {
    context: { faults: faults.length },
  });
}

function describeSection(section: Section): SectionDescription {
  const settings = Object.entries(section.schema.shape).map(([key, schema]) => {
    const { description, unit, secret, address } = abouts.get(schema)!;
    const optional = { ...(unit && { unit }), ...(secret && { secret }), ...(address && { address }) };
    return { key, description, ...optional, type: typeText(schema), defaultValue: schema.parse(undefined) };
  });
  return { name: section.name, description: section.description, settings };
}

/** A schema in words: 'integer 1 to 65535', 'one of json, text', 'list of text'. */
function typeText(schema: z.ZodType): string {
  return jsonTypeText(z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }));
}

function jsonTypeText(json: z.core.JSONSchema.BaseSchema): string {
  if (json.enum !== undefined) return `one of ${json.enum.join(', ')}`;
  if (json.const !== undefined) return JSON.stringify(json.const);
  switch (json.type) {
    case 'integer':
    case 'number':
      return json.type + rangeText(json.minimum, json.maximum);
    case 'boolean':
      return 'true or false';
    case 'string':
      return 'text';
    case 'array':
      return `list of ${isTree(json.items) ? jsonTypeText(json.items) : 'values'}`;
    case 'object':
      return 'keys and values';
    default:
      return 'a value as described';
  }
}

function rangeText(least: number | undefined, most: number | undefined): string {
  const isBounded = (bound: number | undefined): bound is number =>
    bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER;
  if (isBounded(least)) return isBounded(most) ? ` ${least} to ${most}` : ` of at least ${least}`;
  return isBounded(most) ? ` of at most ${most}` : '';
}

function maskAll(section: Section | undefined, values: object): Record<string, unknown> {
  return mapEntries(values, (key, value: unknown) => (section === undefined ? value : mask(section, key, value)));
}

function mask(section: Section, key: string | undefined, value: unknown): unknown {
  const schema = section.schema.shape[key ?? ''];
  const about = schema === undefined ? undefined : abouts.get(schema);
  if (about?.secret !== undefined && value !== undefined) return '***';
  if (about?.address !== undefined && typeof value === 'string') return value.replace(/\/\/[^@/]*@/, '//***@');
  return value;
}

function mapEntries<V, R>(source: { readonly [key: string]: V } | object, map: (key: string, value: V) => R) {
  return Object.fromEntries(Object.entries(source as Record<string, V>).map(([key, value]) => [key, map(key, value)]));
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
