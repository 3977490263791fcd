/** The same take-over on Kafka Streams, whose state is a local store that a new owner restores from a changelog. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EngineError } from '../../schemas/errors.js';

export interface StreamsPeerOptions {
  /** Folder with the jars of kafka-streams and of what it needs. */
  readonly jars: string;
  readonly guarantee: string;
  /** `host:port` of a broker. */
  readonly kafka: string;
  readonly users: number;
  /** Of each user, before the first kill. */
  readonly events: number;
  /** Events a second. */
  readonly rate: number;
  readonly kills: number;
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  /** For its stores; left to the caller to remove. */
  readonly folder: string;
}

/** Times are from the kill. A type, as records of numbers are folded over runs. */
export type StreamsKill = Readonly<Record<'firstCommitMs' | 'usersMs' | 'restoredRecords', number>>;

const SCRIPT = fileURLToPath(new URL('./streams-takeover.java', import.meta.url));
/** A JVM says more than it prints. */
const OUTPUT_BYTES_MAX = 16 * 1_048_576;
const run = promisify(execFile);

/** Needs a JDK of 17 or newer. Throws INTERNAL with its last words when it fails. */
export async function runStreamsPeer(options: StreamsPeerOptions): Promise<readonly StreamsKill[]> {
  const { jars, guarantee, kafka, users, events, rate, kills, sessionMs, heartbeatMs, folder } = options;
  const counts = [users, events, rate, kills].map(String);
  const place = [guarantee, String(sessionMs), String(heartbeatMs), folder, SCRIPT];
  const flags = ['-Xmx256m', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', `${jars}/*`];
  try {
    const { stdout } = await run('java', [...flags, SCRIPT, kafka, ...counts, ...place], {
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as StreamsKill[];
  } catch (cause) {
    throw new EngineError('INTERNAL', `Kafka Streams was not measured: ${String(cause).slice(0, 2_000)}`, { cause });
  }
}
