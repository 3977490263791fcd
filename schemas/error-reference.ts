/**
 * The reference of error codes, rendered from the table in errors.ts.
 *
 * The result is checked in as schemas/ERRORS.md; a test compares it, so that a code cannot go undocumented.
 */
import { ERROR_CODES } from './errors.js';

export function renderErrorReference(): string {
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { status, retriable, meaning }]) =>
      `| \`${code}\` | ${status} | ${retriable ? 'yes' : 'no'} | ${meaning} |`,
  );
  return [
    '# Error codes',
    '',
    'Generated from errors.ts; edit that. Branch on the code, never on the message. *Retriable*: the same call may',
    'succeed later without being changed. *Status*: what the code becomes at the HTTP edge.',
    '',
    '| code | status | retriable | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
