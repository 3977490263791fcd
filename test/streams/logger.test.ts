/** Logging: what a line holds, in both formats, and that errors keep what a person needs. */
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../schemas/errors.js';
import { ManualClock } from '../../streams/clock.js';
import { createLogger, type LogLevel, silentLogger } from '../../streams/logger.js';

function capture(format: 'json' | 'text', level: LogLevel = 'info') {
  const lines: string[] = [];
  const clock = new ManualClock(Date.UTC(2024, 0, 1, 12, 0, 1, 250));
  return { lines, log: createLogger({ format, level, clock, write: (line) => lines.push(line) }) };
}

const parsed = (line: string | undefined): Record<string, unknown> =>
  JSON.parse(line ?? 'null') as Record<string, unknown>;

describe('createLogger', () => {
  it('writes one JSON object a line with the time of its clock and the fields of its ancestors', () => {
    const { lines, log } = capture('json');
    log.child({ task: 'users/3' }).child({ attempt: 2 }).warn('Batch was re-read', { offset: 42n });
    expect(lines).toHaveLength(1);
    expect(parsed(lines[0])).toEqual({
      level: 'warn',
      time: Date.UTC(2024, 0, 1, 12, 0, 1, 250),
      task: 'users/3',
      attempt: 2,
      offset: '42',
      message: 'Batch was re-read',
    });
  });

  it('keeps code, context and causes of an error', () => {
    const { lines, log } = capture('json');
    const cause = new Error('disk gone');
    log.error('Task stopped', {
      error: new EngineError('TASK_FAILED', 'users/3 stopped', { cause, context: { partition: 3 } }),
    });
    expect(parsed(lines[0])['error']).toMatchObject({
      code: 'TASK_FAILED',
      context: { partition: 3 },
      cause: { message: 'disk gone' },
    });
  });

  it('survives an error that is its own cause', () => {
    const { lines, log } = capture('json');
    const error = new Error('loop');
    error.cause = error;
    log.error('Odd', { error });
    expect(parsed(lines[0])['message']).toBe('Odd');
  });

  it('drops what is below its level', () => {
    const { lines, log } = capture('json', 'warn');
    log.debug('a');
    log.info('b');
    log.warn('c');
    expect(lines.map((line) => parsed(line)['message'])).toEqual(['c']);
  });

  it('writes readable lines as text, with the stack only for errors', () => {
    const { lines, log } = capture('text');
    log.info('Ready', { port: 8080 });
    log.warn('Slow', { error: new EngineError('OVERLOADED', 'behind') });
    log.error('Stopped', { error: new Error('boom') });
    expect(lines[0]).toBe('12:00:01.250 info  Ready  port=8080\n');
    expect(lines[1]).toBe('12:00:01.250 warn  Slow  error=OVERLOADED: behind\n');
    expect(lines[2]).toMatch(/^12:00:01.250 error Stopped {2}error=boom\nError: boom\n\s+at /);
  });
});

describe('silentLogger', () => {
  it('accepts everything and says nothing', () => {
    expect(silentLogger.child({ a: 1 }).info('x')).toBeUndefined();
  });
});
