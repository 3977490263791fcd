/** What /proc says of a process: memory it holds, processor time it took. */
import { readdirSync, readFileSync } from 'node:fs';

/** Of `clock_t` in /proc; the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/**
 * RssAnon: not mapped from files. VmHWM: the most there ever was, mapped files included. Undefined where there is no /proc,
 * or the process is gone.
 */
export function statusBytes(pid: number | undefined, name: 'RssAnon' | 'VmHWM'): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const kilobytes = new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
  } catch {
    return undefined;
  }
}

/** Anonymous memory of a process and of all it started. */
export function anonymousBytesOfTree(pid: number | undefined): number {
  let bytes = statusBytes(pid, 'RssAnon') ?? 0;
  for (const child of childrenOf(pid)) bytes += anonymousBytesOfTree(child);
  return bytes;
}

function childrenOf(pid: number | undefined): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1'));
    return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  } catch {
    return [];
  }
}

/** 0 where it cannot be known. */
export function cpuSecondsOf(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}
