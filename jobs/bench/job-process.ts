/** A job that a bench needs done, as on the command line. */
import { EngineError } from '../../schemas/errors.js';
import { JOB_FLAGS, startCli } from '../cli-process.js';

/** What the job printed. Throws INTERNAL with its last words when it fails. `onStart` is told its process. */
export async function runJob(
  args: readonly string[],
  onStart: (pid: number | undefined) => void = () => undefined,
): Promise<string> {
  const { child, ended } = startCli(args, JOB_FLAGS);
  onStart(child.pid);
  const { code, printed, said } = await ended;
  if (code === 0) return printed;
  throw new EngineError('INTERNAL', `freshet ${args[0]} ended with ${code}. It said:\n${said}`);
}
