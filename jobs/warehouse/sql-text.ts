/** Rows of a query as text: aligned columns for people, CSV (RFC 4180) for other programs. */

/** Longer cells are cut in a table; JSON and CSV have them whole. */
const CELL_CHARACTERS_MAX = 60;

/** Header, rule and rows; numbers stand to the right. */
export function alignedTable(columns: readonly string[], rows: readonly Record<string, unknown>[]): string[] {
  if (columns.length === 0) return ['(no rows)'];
  const cells = rows.map((row) => columns.map((column) => cellOf(row[column])));
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((line) => line[i]!.length)));
  const isNumber = columns.map(
    (column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number' || row[column] === null),
  );
  const align = (line: readonly string[]): string =>
    line
      .map((cell, i) => (isNumber[i]! ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return [align(columns), rule, ...cells.map(align), ...(rows.length === 0 ? ['(no rows)'] : [])];
}

export function csvLine(values: readonly unknown[]): string {
  return values.map((value) => quoted(value === null ? '' : plain(value))).join(',');
}

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function cellOf(value: unknown): string {
  if (value === null || value === undefined) return '–';
  const text = typeof value === 'number' && !Number.isInteger(value) ? shortNumber(value) : plain(value);
  const line = text.replace(/\s+/g, ' ');
  return line.length > CELL_CHARACTERS_MAX ? `${line.slice(0, CELL_CHARACTERS_MAX - 1)}…` : line;
}

/** Six digits that mean something. */
const shortNumber = (value: number): string => String(Number(value.toPrecision(6)));

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
