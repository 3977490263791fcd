/**
 * What the outside world sends: a producer without idempotence, and an importer that resumes where it is not sure.
 *
 * Records are late, ahead of their time, corrupt, poisonous or erasing in proportions a real log never has. The
 * importer names its records by position in a file, so that the stage can drop what it sends again.
 */
import type { EventLog, OutgoingRecord } from '../../streams/log/event-log.js';
import type { Random } from '../../streams/random.js';
import type { FaultPlan } from './faults.js';
import type { Process } from './process.js';
import { encodeAction, USER_EVENTS } from './stages.js';
import type { Action } from './stages.js';

const USERS = ['ann', 'bob', 'cy', 'dee', 'eve'];
const ITEMS = ['one', 'two', 'three', 'four'];

export interface Sender {
  readonly process: Process;
  readonly log: EventLog;
  readonly random: Random;
  /** Virtual time in which `records` are sent. */
  readonly durationMs: number;
  readonly records: number;
}

/** Sends records as they happen; repeats a batch whose fate it does not know. */
export async function produce({ process, log, random, durationMs, records }: Sender): Promise<void> {
  const pauseMs = durationMs / records;
  for (let sent = 0; sent < records;) {
    const burst = Math.min(records - sent, 1 + random.int(6));
    await process.sleep(burst * pauseMs * (0.5 + random.float()));
    const batch = Array.from({ length: burst }, () => userAction(process.now(), random));
    await appendUntilAcknowledged(log, batch);
    sent += burst;
  }
}

/** Sends a file in chunks; now and then it goes back some chunks, as after a crash of its own. */
export async function importFile(sender: Sender, faults: FaultPlan): Promise<void> {
  const { process, log, random, durationMs, records } = sender;
  const startMs = process.now();
  const file = Array.from({ length: records }, (_, offset) => ({
    ...userAction(startMs, random),
    origin: { source: 'import/file', operator: 'import', offset, index: 0 },
  }));
  for (let from = 0; from < file.length;) {
    const chunk = file.slice(from, from + 4);
    await process.sleep((chunk.length * durationMs) / records);
    await appendUntilAcknowledged(log, chunk);
    const back = faults.intensity('importResent') * random.float() > 0.8 ? random.int(9) : 0;
    if (back > 0) faults.note('importResent');
    from = Math.max(0, from + chunk.length - back);
  }
}

/** Tries before a sender gives its batch up, whether or not it arrived. */
const TRIES_MAX = 8;

async function appendUntilAcknowledged(log: EventLog, batch: readonly OutgoingRecord[]): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    try {
      await log.append(USER_EVENTS, batch);
      return;
    } catch {
      // Its fate is unknown: send it again.
    }
  }
}

function userAction(now: number, random: Random): OutgoingRecord {
  const key = random.pick(USERS);
  if (random.float() < 0.02) return { key, value: Buffer.from('{"ts":') };
  const does = random.float() < 0.04 ? 'poison' : random.float() < 0.05 ? 'erase' : undefined;
  const action: Partial<Action> = { item: random.pick(ITEMS), n: random.int(12), does };
  if (random.float() < 0.01) return { key, value: encodeAction({ ...action, ts: now + 0.5 }) };
  if (random.float() < 0.2) return { key, value: encodeAction({ ...action, ts: now - random.int(1_200) }) };
  const ts = random.float() < 0.1 ? now + random.int(5_000) : now - random.int(40);
  return { key, value: encodeAction({ ...action, ts, receivedAt: now }) };
}
