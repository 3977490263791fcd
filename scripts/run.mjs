/**
 * The one entry behind every npm script: installs what is missing, then builds, starts, checks or tests.
 *
 * Node builtins only until the dependencies are there. .npmrc sets ignore-scripts, which also keeps npm from running
 * pre and post scripts: each command therefore does its own installing and building first.
 *
 * Invariant: whatever the state of the checkout, `npm start` and `npm test` need no other command before them.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { installIfNeeded } from './install.mjs';
import { withLock } from './lock.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const COMMANDS = {
  build: 'transpile the sources to dist/, when one has changed',
  start: 'build, then run everything in one process with demo data',
  freshet: 'build, then run the command line: npm run freshet -- --help',
  check: 'lint, types, import law, unused code, formatting',
  test: 'check, build, then all tests; with arguments only those tests, without the checks',
  'test:servers': 'fetch Kafka, then the tests that start real servers; --strict: a skip is a failure',
  simulation: 'the seeded simulation of crashes and faults: npm run simulation -- --seeds 1000',
  chaos: 'kills and pauses on real servers, and a verifier: npm run chaos -- --seed 1 --events 100000',
  services: 'real Kafka, Redis and ClickHouse for development: npm run services -- start | stop | status | install',
  generate: 'build, then rewrite the checked-in references (error codes, configuration)',
};

async function main([command, ...args]) {
  if (command === undefined || !Object.hasOwn(COMMANDS, command)) {
    const list = Object.entries(COMMANDS).map(([name, what]) => `  ${name.padEnd(14)}${what}`);
    console.error(['Usage: node scripts/run.mjs <command> [arguments]', ...list].join('\n'));
    process.exitCode = 2;
    return;
  }
  await installIfNeeded(root);
  if (command === 'check') {
    const { check } = await import('./check.mjs');
    const failed = await check(root);
    process.exitCode = failed.length === 0 ? 0 : 1;
  } else if (command === 'test') {
    const { test } = await import('./test.mjs');
    process.exitCode = await test(root, build, args);
  } else if (command === 'test:servers') {
    const { testServers } = await import('./test.mjs');
    await runBundled('test/harness/servers/services-main.ts', ['install']);
    process.exitCode = await testServers(root, args);
  } else if (command === 'simulation') {
    await runBundled('test/simulation/main.ts', args);
  } else if (command === 'chaos') {
    await build();
    await runBundled('test/integration/chaos-main.ts', args);
  } else if (command === 'services') {
    await build();
    await runBundled('test/harness/servers/services-main.ts', args);
  } else {
    await build();
    if (command === 'start') await becomeCli(['up', '--demo', ...args]);
    if (command === 'freshet') await becomeCli(args);
    if (command === 'generate') await (await import('./generate.mjs')).generate(root);
  }
}

async function build() {
  const { buildIfNeeded } = await import('./build.mjs');
  await withLock(root, 'build', () => buildIfNeeded(root));
}

/** Runs a program that is not part of the package: bundled on the fly, two folders below the root as sources are. */
async function runBundled(source, args) {
  const esbuild = await import('esbuild');
  const outfile = join(root, 'node_modules', '.cache', `freshet-${source.replaceAll('/', '-')}.mjs`);
  const options = { bundle: true, platform: 'node', format: 'esm', packages: 'external', sourcemap: 'inline' };
  await esbuild.build({ absWorkingDir: root, entryPoints: [source], outfile, logLevel: 'warning', ...options });
  process.argv = [process.execPath, outfile, ...args];
  process.setSourceMapsEnabled(true);
  await import(pathToFileURL(outfile).href);
}

/** Becomes the command line: same process, so signals, exit code and terminal need no forwarding. */
async function becomeCli(args) {
  const cli = join(root, 'dist', 'jobs', 'cli.js');
  if (!existsSync(cli)) throw new Error('This checkout has no jobs/cli.ts, so there is nothing to run');
  process.argv = [process.execPath, cli, ...args];
  process.setSourceMapsEnabled(true);
  await import(pathToFileURL(cli).href);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exitCode = 1;
}
