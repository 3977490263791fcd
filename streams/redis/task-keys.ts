/**
 * The Redis keys of one task, all in one slot, and how timers are written.
 *
 *   NS:{tag}STAGE/P:h        hash     head: owner, commit, offset, meta; `pending` while a large commit is being moved in,
 *                                     `state` while the task is restored or dropped
 *   NS:{tag}STAGE/P:rKEY     string   one row
 *   NS:{tag}STAGE/P:t        zset     timers; all scores 0, so that members sort as bytes: time u48, operator, 0, key
 *   NS:{tag}STAGE/P:o        list     ids of the commits whose outputs are in the outbox, oldest first
 *   NS:{tag}STAGE/P:xID      hash     outputs of commit ID, packed, in numbered parts (usually one)
 *   NS:{tag}STAGE/P:sID      hash     staged rows and timers of a large commit; expires when it never comes
 *   NS:{tag}STAGE/P:p        hash     rows and timers of a large commit that has happened and is being moved in
 *   NS:{tag}STAGE/P:v0 …     hash     what was overwritten since a scan began; expires when the scan is gone
 */
import { EngineError } from '../../schemas/errors.js';
import type { TaskId } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { slotOfTag, slotOfTask, tagOfSlot } from './slot-tags.js';

/** Scans of one task at a time. */
export const VIEWS_MAX = 4;
/** Redis takes 512 MB; a key this long is a fault of whoever sent it. */
const KEY_LENGTH_MAX = 1_024;

/** Documents and the list of tasks: one small slot for a namespace. */
const META_TAG = 'meta';

export interface TaskKeys {
  readonly slot: number;
  readonly head: string;
  readonly timers: string;
  readonly outbox: string;
  readonly pending: string;
  readonly views: readonly string[];
  /** Before a row's key. */
  readonly rows: string;
  readonly staged: (commitId: string) => string;
  readonly outputs: (commitId: string) => string;
}

export function keysOfTask(namespace: string, task: TaskId): TaskKeys {
  const slot = slotOfTask(task);
  const base = `${namespace}:{${tagOfSlot(slot)}}${taskName(task)}:`;
  return {
    slot,
    head: `${base}h`,
    timers: `${base}t`,
    outbox: `${base}o`,
    pending: `${base}p`,
    views: Array.from({ length: VIEWS_MAX }, (_, i) => `${base}v${i}`),
    rows: `${base}r`,
    staged: (commitId) => `${base}s${commitId}`,
    outputs: (commitId) => `${base}x${commitId}`,
  };
}

export interface MetaKeys {
  readonly slot: number;
  /** Set of task names. */
  readonly tasks: string;
  readonly document: (name: string) => string;
}

export function metaKeys(namespace: string): MetaKeys {
  const base = `${namespace}:{${META_TAG}}`;
  return { slot: slotOfTag(META_TAG), tasks: `${base}tasks`, document: (name) => `${base}document:${name}` };
}

export function requireRowKey(key: string): void {
  if (key.length <= KEY_LENGTH_MAX) return;
  const start = key.slice(0, 60);
  throw new EngineError(
    'EVENT_INVALID',
    `Key '${start}…' has ${key.length} characters; the store takes ${KEY_LENGTH_MAX}.`,
  );
}
