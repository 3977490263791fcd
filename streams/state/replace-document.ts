/** Compare-and-set of a store's document, also where the store has no step of its own for it. */
import type { StateStore } from './state-store.js';

/**
 * As the port's `replaceDocument`. A store that lacks it belongs to one process: read and written one after another, so callers of
 * that process must not overlap.
 */
export async function replaceDocument(
  store: StateStore,
  name: string,
  { expected, text }: { readonly expected: string | undefined; readonly text: string },
): Promise<boolean> {
  if (store.replaceDocument !== undefined) return store.replaceDocument(name, expected, text);
  const found = await store.readDocument(name);
  if (found === text) return true;
  if (found !== expected) return false;
  await store.writeDocument(name, text);
  return true;
}
