/** The lexical rules that decide whether a text is one statement. */
import { describe, expect, it } from 'vitest';
import { firstWord, hasSecondStatement, quoteLiteral } from '../../../streams/warehouse/statement.js';

describe('hasSecondStatement', () => {
  it.each([
    'SELECT 1',
    'SELECT 1;  -- the end;\n',
    'SELECT 1; /* ; */ # ;',
    "SELECT ';', 'it''s; \\'; x', \"a;b\", `c;d`",
    'SELECT $tag$ ; $tag$, $$;$$',
    'SELECT 1 -- ; \n + 1',
    "SELECT 'not closed; ",
  ])('sees one statement in %j', (sql) => expect(hasSecondStatement(sql)).toBe(false));

  it.each([
    'SELECT 1; DROP TABLE t',
    'SELECT 1;;SELECT 2',
    "SELECT 'a\\\\'; DROP TABLE t",
    'SELECT 1 /* */ ; \n(SELECT 2)',
  ])('sees two in %j', (sql) => expect(hasSecondStatement(sql)).toBe(true));
});

describe('firstWord', () => {
  it('skips blanks, comments and parentheses', () => {
    expect(firstWord(' -- select\n /* with */ ((select 1))')).toBe('SELECT');
    expect(firstWord('')).toBe('');
  });
});

describe('quoteLiteral', () => {
  it('leaves no quote or backslash unescaped', () => {
    expect(quoteLiteral("a'b\\")).toBe("'a\\'b\\\\'");
  });
});
