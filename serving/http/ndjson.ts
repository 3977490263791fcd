/**
 * Splits a stream of bytes into the texts of its lines, holding no more than one line and one chunk.
 */
import { EngineError } from '../../schemas/errors.js';

export interface NumberedLine {
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

const NEWLINE = 0x0a;
const NOTHING = Buffer.alloc(0);

/** Blank lines are skipped. @throws BODY_TOO_LARGE for a line longer than `lineBytesMax` */
export async function* splitLines(stream: AsyncIterable<Buffer>, lineBytesMax: number): AsyncGenerator<NumberedLine> {
  // Pieces of a line that spans chunks: joined once, at its end.
  let pieces: Buffer[] = [];
  let pieceBytes = 0;
  let line = 1;
  for await (const chunk of stream) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      const part = chunk.subarray(start, end < 0 ? chunk.length : end);
      if (pieceBytes + part.length > lineBytesMax) throw lineTooLong(line, lineBytesMax);
      if (end < 0) {
        if (part.length > 0) pieces.push(part);
        pieceBytes += part.length;
        break;
      }
      const whole = pieceBytes === 0 ? part : Buffer.concat([...pieces, part]);
      pieces = [];
      pieceBytes = 0;
      const text = whole.toString('utf8').trim();
      if (text !== '') yield { line, text };
      line++;
      start = end + 1;
    }
  }
  const text = (pieceBytes === 0 ? NOTHING : Buffer.concat(pieces)).toString('utf8').trim();
  if (text !== '') yield { line, text };
}

function lineTooLong(line: number, lineBytesMax: number): EngineError {
  return new EngineError('BODY_TOO_LARGE', `Line ${line} is longer than ${lineBytesMax} bytes`, { context: { line } });
}
