/**
 * What a command says: lines for people on standard error, the result on standard output.
 *
 * With `--json` the last line of standard output is one JSON object and nothing else is written there; without it the
 * result is shown as aligned text. Progress is one line rewritten in place on a terminal, and a line every few seconds
 * elsewhere.
 */
import type { Clock } from '../streams/clock.js';

const PROGRESS_MS = 200;
const PROGRESS_LINE_MS = 5_000;

export interface Output {
  /** A line for people. */
  say(line: string): void;
  /** Shows how far something is; calls that come too fast are not shown. */
  progress(text: () => string): void;
  /** The result of the command. */
  result(values: object): void;
  /** Output that is itself the result, such as exported lines. */
  line(text: string): void;
}

export class Terminal implements Output {
  private lastProgress = -Infinity;
  private hasOpenLine = false;

  constructor(
    private readonly clock: Clock,
    private readonly isJson: boolean,
  ) {}

  say(line: string): void {
    this.closeLine();
    process.stderr.write(`${line}\n`);
  }

  progress(text: () => string): void {
    const isTerminal = process.stderr.isTTY;
    const now = this.clock.monotonic();
    if (now - this.lastProgress < (isTerminal ? PROGRESS_MS : PROGRESS_LINE_MS)) return;
    this.lastProgress = now;
    if (isTerminal) {
      process.stderr.write(`\r\u001b[K${text()}`);
      this.hasOpenLine = true;
    } else {
      process.stderr.write(`${text()}\n`);
    }
  }

  result(values: object): void {
    this.closeLine();
    process.stdout.write(this.isJson ? `${JSON.stringify(values)}\n` : renderText(values));
  }

  line(text: string): void {
    this.closeLine();
    process.stdout.write(`${text}\n`);
  }

  private closeLine(): void {
    if (this.hasOpenLine) process.stderr.write('\n');
    this.hasOpenLine = false;
  }
}

/** `name  value`, nested objects indented, numbers with at most four decimals. */
function renderText(values: object, indent = ''): string {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries
    .map(([name, value]) => {
      const label = `${indent}${name.padEnd(width)}`;
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        return `${indent}${name}\n${renderText(value as object, `${indent}  `)}`;
      }
      return `${label}  ${renderValue(value)}\n`;
    })
    .join('');
}

function renderValue(value: unknown): string {
  if (Array.isArray(value)) return value.map(renderValue).join(', ');
  if (typeof value === 'number') return String(Math.round(value * 10_000) / 10_000);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
