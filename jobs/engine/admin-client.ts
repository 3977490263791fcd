/**
 * Asks the engine that holds a data directory, at the loopback address it left in `admin.json`.
 *
 * The file may outlive its engine, and another program may have taken the port since: an answer that is not this
 * engine's counts as none.
 */
import { readFileSync } from 'node:fs';
import { request as openRequest } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Clock } from '../../streams/clock.js';

export interface AdminAddress {
  readonly url: string;
  readonly token: string;
}

export interface AdminAnswer {
  readonly status: number;
  readonly body: object;
}

export interface AdminQuestion {
  readonly name: string;
  /** Sent as JSON. */
  readonly body: unknown;
  /** Without one the answer may take as long as it takes: an import does. */
  readonly patience?: { readonly clock: Clock; readonly ms: number };
}

/** An engine is there and did not answer in time. */
export class AdminTimeout extends Error {}

export function addressFile(directory: string): string {
  return join(directory, 'admin.json');
}

/** Undefined when no engine has left its address, or the file cannot be read. */
export function adminAddress(directory: string): AdminAddress | undefined {
  try {
    const written: unknown = JSON.parse(readFileSync(addressFile(directory), 'utf8'));
    const { url, token } = (written ?? {}) as Partial<AdminAddress>;
    return typeof url === 'string' && typeof token === 'string' ? { url, token } : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined when nobody answers, or somebody else. Throws AdminTimeout when patience ends. */
export async function askEngine(address: AdminAddress, question: AdminQuestion): Promise<AdminAnswer | undefined> {
  const { clock, ms } = question.patience ?? {};
  const patience = new AbortController();
  const timer = clock?.setTimer(ms!, () => patience.abort());
  try {
    const { status, body } = await post(address, question, patience.signal);
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null ? { status, body: parsed } : undefined;
  } catch {
    if (patience.signal.aborted) throw new AdminTimeout();
    return undefined;
  } finally {
    timer?.cancel();
  }
}

/** Not by `fetch`, which gives up after five minutes. */
function post(
  { url, token }: AdminAddress,
  { name, body }: AdminQuestion,
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const sent = openRequest(`${url}/v1/admin/${name}`, { method: 'POST', headers, signal }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
    sent.once('error', reject);
    sent.end(JSON.stringify(body));
  });
}
