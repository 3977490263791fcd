/** Text as columns and pseudonyms take it, and pseudonyms as a person reads them. */
import type { Pseudonyms } from '../../../jobs/warehouse/pseudonyms.js';
import type { Utf8Slice } from '../../../streams/warehouse/utf8-slice.js';
import type { TextPseudonyms } from './row-model.js';

/** Not at the beginning of its bytes, as in a record. */
export function sliceOf(text: string): Utf8Slice {
  const bytes = Buffer.from(`<${text}>`, 'utf8');
  return { bytes, start: 1, end: bytes.length - 1 };
}

export function asText(pseudonyms: Pseudonyms): TextPseudonyms {
  const uuid = (bytes: Uint8Array): string =>
    Buffer.from(bytes)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return {
    user: (id) => uuid(pseudonyms.user(sliceOf(id))),
    session: (userId, sessionId) => uuid(pseudonyms.session(sliceOf(userId), sliceOf(sessionId))),
    event: (id) => uuid(pseudonyms.event(sliceOf(id))),
  };
}
