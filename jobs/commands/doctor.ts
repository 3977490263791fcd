/** `freshet doctor`: whether this machine and this data directory can run the engine, in words. */
import { existsSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync, fdatasyncSync, closeSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { isEngineError } from '../../schemas/errors.js';
import { openForJob, loadConfig } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly found: string;
}

const NODE_MIN = [20, 19] as const;
const FREE_BYTES_MIN = 1 << 30;
const SYNCS = 50;

export async function runDoctor(context: CommandContext, options: DataOptions): Promise<void> {
  const findings: Finding[] = [
    checkNode(),
    checkMachine(),
    checkDisk(options.data),
    checkSync(context),
    checkConfig(options),
  ];
  if (existsSync(options.data)) findings.push(await checkData(context, options));
  for (const { check, ok, found } of findings)
    context.terminal.say(`${ok ? 'ok  ' : 'FAIL'} ${check.padEnd(14)} ${found}`);
  const failed = findings.filter(({ ok }) => !ok).length;
  context.terminal.result({ failed, findings });
  if (failed > 0) process.exitCode = 1;
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const ok = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  return { check: 'node', ok, found: `${process.versions.node}; expected ${NODE_MIN.join('.')} or newer` };
}

function checkMachine(): Finding {
  const gigabytes = (totalmem() / 2 ** 30).toFixed(1);
  return { check: 'machine', ok: true, found: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${gigabytes} GiB` };
}

function checkDisk(directory: string): Finding {
  const { bavail, bsize } = statfsSync(existsSync(directory) ? directory : '.');
  const free = bavail * bsize;
  return {
    check: 'disk',
    ok: free >= FREE_BYTES_MIN,
    found: `${(free / 2 ** 30).toFixed(1)} GiB free; expected at least 1`,
  };
}

/** How long the disk takes to make a small write durable: the floor of every acknowledged event. */
function checkSync({ clock }: CommandContext): Finding {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-doctor-'));
  const file = openSync(join(directory, 'sync'), 'w');
  const times: number[] = [];
  for (let i = 0; i < SYNCS; i++) {
    const start = clock.monotonic();
    writeSync(file, Buffer.alloc(512, i));
    fdatasyncSync(file);
    times.push(clock.monotonic() - start);
  }
  closeSync(file);
  rmSync(directory, { recursive: true });
  times.sort((a, b) => a - b);
  const at = (share: number): string => times[Math.floor(share * (SYNCS - 1))]!.toFixed(2);
  return { check: 'sync', ok: true, found: `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms a write` };
}

function checkConfig(options: DataOptions): Finding {
  try {
    const { streams } = loadConfig(options);
    return {
      check: 'configuration',
      ok: true,
      found: `namespace ${streams.namespace}, ${streams.partitions} partitions`,
    };
  } catch (error) {
    return { check: 'configuration', ok: false, found: isEngineError(error) ? error.message : String(error) };
  }
}

async function checkData(context: CommandContext, options: DataOptions): Promise<Finding> {
  try {
    const engine = await openForJob(context, options);
    const tasks = await engine.storage.store.tasks();
    await engine.close();
    return { check: 'data', ok: true, found: `'${options.data}' opens; ${tasks.length} tasks` };
  } catch (error) {
    return {
      check: 'data',
      ok: false,
      found: isEngineError(error) ? `${error.code}: ${error.message}` : String(error),
    };
  }
}
