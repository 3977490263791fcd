/**
 * Just enough of ClickHouse's lexical rules to tell where a statement starts and whether a second one follows it.
 *
 * The embedded engine runs every statement of a text, a ClickHouse server refuses the second one. Refusing it here too
 * keeps both adapters alike, and keeps an injected `; DROP` from running where nothing else would stop it.
 */

/** Length of the comment or quoted piece that starts at `i`, or 0 when none does. */
function pieceLength(sql: string, i: number): number {
  const rest = (end: number, endLength: number): number => (end < 0 ? sql.length : end + endLength) - i;
  switch (sql[i]) {
    case "'":
    case '"':
    case '`':
      return quotedLength(sql, i);
    case '-':
      return sql[i + 1] === '-' ? rest(sql.indexOf('\n', i), 1) : 0;
    case '#':
      return sql[i + 1] === ' ' || sql[i + 1] === '!' ? rest(sql.indexOf('\n', i), 1) : 0;
    case '/':
      return sql[i + 1] === '*' ? rest(sql.indexOf('*/', i + 2), 2) : 0;
    case '$': {
      // A heredoc, $tag$ … $tag$; a $ elsewhere is part of a name.
      const tag = /^\$\w*\$/.exec(sql.slice(i, i + HEREDOC_TAG_MAX))?.[0];
      return tag === undefined ? 0 : rest(sql.indexOf(tag, i + tag.length), tag.length);
    }
    default:
      return 0;
  }
}

/** Longer tags are not looked for: the text then counts as plain, which can only refuse more. */
const HEREDOC_TAG_MAX = 64;

/** A quote ends at its own kind; a backslash takes the next character with it, a doubled quote is two pieces in a row. */
function quotedLength(sql: string, start: number): number {
  const quote = sql[start];
  for (let i = start + 1; i < sql.length; i++) {
    if (sql[i] === '\\') i++;
    else if (sql[i] === quote) return i + 1 - start;
  }
  return sql.length - start;
}

const isComment = (sql: string, i: number): boolean => sql[i] === '-' || sql[i] === '#' || sql[i] === '/';

/** Whether anything but blanks and comments follows a semicolon. */
export function hasSecondStatement(sql: string): boolean {
  let ended = false;
  for (let i = 0; i < sql.length;) {
    const length = pieceLength(sql, i);
    const isBlank = length > 0 ? isComment(sql, i) : /\s/.test(sql[i]!);
    if (length === 0 && sql[i] === ';') ended = true;
    else if (ended && !isBlank) return true;
    i += Math.max(1, length);
  }
  return false;
}

/** First word in upper case, behind blanks, comments and opening parentheses: 'SELECT', 'WITH', 'SHOW' … or ''. */
export function firstWord(sql: string): string {
  for (let i = 0; i < sql.length;) {
    const length = pieceLength(sql, i);
    if (length > 0 && isComment(sql, i)) i += length;
    else if (/[\s(]/.test(sql[i]!)) i++;
    else return /^\w*/.exec(sql.slice(i, i + 32))![0].toUpperCase();
  }
  return '';
}

/** A string literal of this value: backslashes and single quotes escaped, nothing else needs to be. */
export function quoteLiteral(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
