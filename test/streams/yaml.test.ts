/** YAML: plain values in, faults with a place out. */
import { describe, expect, it } from 'vitest';
import { isEngineError } from '../../schemas/errors.js';
import { parseYaml, renderYaml } from '../../streams/yaml.js';

describe('parseYaml', () => {
  it('gives plain values', () => {
    expect(parseYaml('a: 1\nb: [x, true, null]\n', 'test', 'MAPPING_INVALID')).toEqual({ a: 1, b: ['x', true, null] });
  });

  it.each([
    ['a: [1', /^rules\.yaml:\d+:\d+ is not valid YAML/],
    ['a: 1\na: 2', /^rules\.yaml:2:1 is not valid YAML: Map keys must be unique/],
    [
      `a: &a [x,x]\n${'bcdefgh'
        .split('')
        .map((name, i, all) => `${name}: &${name} [${`*${i === 0 ? 'a' : all[i - 1]},`.repeat(9)}]`)
        .join('\n')}`,
      /alias/i,
    ],
  ])('names source and place of the fault in %j, with the code of the caller', (text, message) => {
    try {
      parseYaml(text, 'rules.yaml', 'MAPPING_INVALID');
      expect.unreachable();
    } catch (error) {
      expect(isEngineError(error, 'MAPPING_INVALID') && error.message).toMatch(message);
    }
  });
});

describe('renderYaml', () => {
  it('gives text that parses to the same value', () => {
    const value = { text: 'yes: no # really', list: [1, 2.5, 'x'.repeat(200)], empty: {} };
    expect(parseYaml(renderYaml(value), 'test', 'CONFIG_INVALID')).toEqual(value);
  });
});
