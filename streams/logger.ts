/**
 * Structured logging behind a small interface: one JSON object a line, or one readable line on a terminal.
 *
 * Whoever has something to say is handed a Logger and narrows it with `child({ task: 'users/3' })`. Lines go to
 * standard error, written synchronously, so that standard output stays free for results and the last words of a
 * crashing process arrive. This file alone imports pino.
 *
 * Invariant: logging never throws and never decides anything; errors keep their code, context and causes.
 */
import { destination, pino, type Logger as PinoLogger } from 'pino';
import { EngineError } from '../schemas/errors.js';
import { type Clock, systemClock } from './clock.js';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Named values beside the message. Put an error under `error`; it is unfolded with code, context and causes. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** A logger that adds these fields to every line. Cheap; make one per task, connection or job. */
  child(fields: LogFields): Logger;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export interface LoggerOptions {
  readonly level?: LogLevel;
  /** `auto` is readable lines on a terminal and JSON elsewhere. */
  readonly format?: 'auto' | 'json' | 'text';
  readonly clock?: Clock;
  /** Receives complete lines, newline included; standard error when omitted. */
  readonly write?: (line: string) => void;
}

export function createLogger(options: LoggerOptions = {}): Logger {
  const { level = 'info', format = 'auto', clock = systemClock } = options;
  const asText = format === 'text' || (format === 'auto' && options.write === undefined && process.stderr.isTTY);
  const stream = options.write === undefined ? destination({ dest: 2, sync: true }) : { write: options.write };
  const target = asText ? { write: (line: string) => void stream.write(toTextLine(line)) } : stream;
  return new PinoBacked(
    pino(
      {
        level,
        base: null,
        messageKey: 'message',
        timestamp: () => `,"time":${clock.now()}`,
        formatters: { level: (label) => ({ level: label }) },
      },
      target,
    ),
  );
}

/** Says nothing: for tests and for library users who bring no logger. */
export const silentLogger: Logger = {
  child: () => silentLogger,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

class PinoBacked implements Logger {
  constructor(private readonly target: PinoLogger) {}

  child(fields: LogFields): Logger {
    return new PinoBacked(this.target.child(unfoldErrors(fields)));
  }

  debug(message: string, fields?: LogFields): void {
    if (this.target.isLevelEnabled('debug')) this.target.debug(unfoldErrors(fields), message);
  }

  info(message: string, fields?: LogFields): void {
    this.target.info(unfoldErrors(fields), message);
  }

  warn(message: string, fields?: LogFields): void {
    this.target.warn(unfoldErrors(fields), message);
  }

  error(message: string, fields?: LogFields): void {
    this.target.error(unfoldErrors(fields), message);
  }
}

/** Chains of causes are finite in practice; a cycle would not be. */
const CAUSES_MAX = 8;

function unfoldErrors(fields: LogFields | undefined): Record<string, unknown> {
  const unfolded: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields ?? {})) {
    if (value instanceof Error) unfolded[name] = describeError(value, 0);
    else unfolded[name] = typeof value === 'bigint' ? value.toString() : value;
  }
  return unfolded;
}

function describeError(error: Error, depth: number): Record<string, unknown> {
  const described: Record<string, unknown> = { name: error.name, message: error.message };
  if (error instanceof EngineError) {
    described['code'] = error.code;
    if (Object.keys(error.context).length > 0) described['context'] = error.context;
  } else if ('code' in error) {
    described['code'] = error.code;
  }
  if (error.stack !== undefined) described['stack'] = error.stack;
  if (error.cause instanceof Error && depth < CAUSES_MAX) described['cause'] = describeError(error.cause, depth + 1);
  else if (error.cause !== undefined) described['cause'] = Object.prototype.toString.call(error.cause);
  return described;
}

/** `12:00:01.250 warn  Batch was re-read  task=users/3 offset=42`, and below it the stack of an error. */
function toTextLine(jsonLine: string): string {
  const { level, time, message, ...fields } = JSON.parse(jsonLine) as Record<string, unknown>;
  const clockTime = new Date(Number(time)).toISOString().slice(11, 23);
  let line = `${clockTime} ${String(level).padEnd(5)} ${String(message)}`;
  const stacks: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (isDescribedError(value)) {
      line += `  ${name}=${value.code === undefined ? '' : `${value.code}: `}${value.message}`;
      if (level === 'error' && value.stack !== undefined) stacks.push(value.stack);
    } else {
      line += `  ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
    }
  }
  return [line, ...stacks].join('\n') + '\n';
}

function isDescribedError(value: unknown): value is { message: string; code?: string; stack?: string } {
  return typeof value === 'object' && value !== null && 'message' in value && 'name' in value;
}
