/** The checked-in AsyncAPI document, the one that is served, and what the code takes and sends are the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildAsyncApi } from '../../../serving/feed/asyncapi.js';
import { feedText, parseClientMessage } from '../../../serving/feed/protocol.js';
import { compareVersions, formatVersion, tryParseVersion } from '../../../serving/feed/feed-version.js';
import { parseYaml } from '../../../streams/yaml.js';

interface Payload {
  readonly properties: Record<string, { readonly enum?: readonly string[] }>;
  readonly required: readonly string[];
}
const built = JSON.parse(JSON.stringify(buildAsyncApi())) as {
  channels: { feed: { messages: Record<string, { payload: Payload }> } };
};
const { messages } = built.channels.feed;

describe('the AsyncAPI document', () => {
  it('checked in is the one that the code builds', () => {
    const path = new URL('../../../serving/feed/asyncapi.yaml', import.meta.url);
    expect(parseYaml(readFileSync(path, 'utf8'), 'asyncapi.yaml', 'CONFIG_INVALID')).toEqual(built);
  });

  const examples: Record<string, Record<string, unknown>> = {
    subscribe: {
      type: 'subscribe',
      userId: 'a',
      placement: 'home',
      limit: 5,
      context: { device: 'phone' },
      sinceVersion: '1-0-7.2',
      minIntervalMs: 100,
    },
    unsubscribe: { type: 'unsubscribe', placement: 'home' },
    viewed: { type: 'viewed', requestId: 'r', itemIds: ['x'] },
    pong: { type: 'pong' },
  };

  it.each(Object.entries(examples))('names every field of %s, and which are required', (name, example) => {
    const { payload } = messages[name]!;
    expect(Object.keys(payload.properties).sort()).toEqual(Object.keys(example).sort());
    parseClientMessage(JSON.stringify(example));
    for (const field of Object.keys(example)) {
      const without = JSON.stringify({ ...example, [field]: undefined });
      if (payload.required.includes(field)) expect(() => parseClientMessage(without)).toThrow();
      else parseClientMessage(without);
    }
  });

  it('names every field of a feed', () => {
    const item = { itemId: 'x', score: 1 / 3, confidence: 0.5, reasons: ['r'], source: 's' };
    const sent = JSON.parse(
      feedText({ placement: 'home', version: '1-0-7', requestId: 'r', items: [item], eventIds: ['e'] }),
    ) as object;
    expect(Object.keys(sent)).toEqual([...messages['feed']!.payload.required]);
    expect(sent).toMatchObject({ v: 1, items: [{ itemId: 'x', score: 0.333333, confidence: 0.5, reasons: ['r'] }] });
  });
});

describe('feed versions', () => {
  it('are read as they are written, and order', () => {
    const texts = ['1-3-0', '1-3-9', '1-3-9.1', '1-3-10', '2-3-1'];
    const versions = texts.map((text) => tryParseVersion(text)!);
    expect(versions.map(formatVersion)).toEqual(texts);
    for (let i = 1; i < versions.length; i++) expect(compareVersions(versions[i - 1]!, versions[i]!)).toBeLessThan(0);
    for (const bad of ['', '1-3', '1-3-x', '1-3-9.', '-1-3-9', '1-3-9.1.1'])
      expect(tryParseVersion(bad)).toBeUndefined();
  });
});
