/**
 * YAML in and out: the one file that imports yaml.
 *
 * Configuration, mapping and rule files are YAML. A syntax fault becomes an EngineError of the caller's code that
 * names the source, line and column. Duplicate keys are faults, and values are plain objects, arrays and scalars.
 */
import { parseDocument, stringify } from 'yaml';
import { EngineError, type ErrorCode } from '../schemas/errors.js';

/** @param source what to call the text in messages: a path, or 'the request body'. */
export function parseYaml(text: string, source: string, code: ErrorCode): unknown {
  const document = parseDocument(text, { prettyErrors: true, stringKeys: true });
  const [fault] = document.errors;
  if (fault !== undefined) {
    const [position] = fault.linePos ?? [];
    const where = position === undefined ? source : `${source}:${position.line}:${position.col}`;
    const summary = fault.message.split(' at line ')[0] ?? fault.message;
    throw new EngineError(code, `${where} is not valid YAML: ${summary}`, { cause: fault, context: { source } });
  }
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (cause) {
    // Too many aliases: a small text that would unfold into an enormous value.
    throw new EngineError(code, `${source} cannot be read as YAML: ${String(cause)}`, { cause, context: { source } });
  }
}

/** Block style, ends in a newline. */
export function renderYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}
