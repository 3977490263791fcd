/** What the system says that a process holds; undefined where there is no /proc, or the process is gone. */
import { readdirSync, readFileSync } from 'node:fs';

/** RssAnon: not mapped from files. VmHWM: the most there ever was, mapped files included. */
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
