/**
 * Chaos on real servers from the command line: `npm run chaos -- [--seed K] [--seeds N] [--events N] [--short] [--json]`.
 *
 * The last line is JSON, of the last seed, asked for or not; with several seeds each has its line. Exit code 1 when
 * anything was lost, doubled or stale.
 */
import { parseArgs } from 'node:util';
import { kafkaMissing } from '../harness/servers/kafka.js';
import { redisMissing } from '../harness/servers/redis.js';
import { FULL_SIZE, runChaos, SHORT_SIZE } from './chaos-run.js';
import type { ChaosResult } from './chaos-run.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    events: { type: 'string', default: '100000' },
    users: { type: 'string', default: '400' },
    'requests-at-once': { type: 'string', default: '8' },
    faults: { type: 'string', default: '60' },
    short: { type: 'boolean', default: false },
    json: { type: 'boolean' },
  },
});
const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(): Promise<boolean> {
  const missing = kafkaMissing() ?? redisMissing();
  if (missing !== undefined) throw new Error(missing);
  let isRight = true;
  for (let seed = Number(values.seed); seed < Number(values.seed) + Number(values.seeds); seed++) {
    const result = await runChaos({
      seed,
      events: Number(values.events),
      size: values.short ? SHORT_SIZE : FULL_SIZE,
      faults: Number(values.faults),
      users: Number(values.users),
      requestsAtOnce: Number(values['requests-at-once']),
      say,
    });
    for (const violation of result.violations) say(violation);
    process.stdout.write(`${JSON.stringify(summaryOf(result))}\n`);
    isRight &&= result.violations.length === 0;
  }
  return isRight;
}

function summaryOf({ violations, ...summary }: ChaosResult): object {
  return { ...summary, violations: violations.length };
}

process.exitCode = (await main()) ? 0 : 1;
