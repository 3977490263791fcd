/**
 * The whole test run: static checks, build, vitest; at the very end one line `N passed, N failed`.
 *
 * Each static check counts as one test, and so does the build when it fails. A test file that cannot be loaded and
 * an error outside of any test count as failed. Failed and skipped tests are listed with their reason after vitest's own
 * output; the skipped ones are counted nowhere.
 * With arguments (`npm test -- test/streams`) only those go to vitest, and the static checks are left out.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { check, CHECK_COUNT } from './check.mjs';

export async function test(root, build, args) {
  const counts = { passed: 0, failed: 0 };
  if (args.length === 0) {
    const failedChecks = await check(root);
    counts.failed += failedChecks.length;
    counts.passed += CHECK_COUNT - failedChecks.length;
    for (const name of failedChecks) console.log(`failed: ${name}`);
  }
  try {
    await build();
    addVitest(counts, await runVitest(root, args));
  } catch (error) {
    console.error(error);
    counts.failed++;
  }
  if (counts.passed === 0) counts.failed = Math.max(counts.failed, 1);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0 ? 0 : 1;
}

/** The tests that start real servers. With `strict`, a test skipped for want of a server counts as failed. */
export async function testServers(root, args) {
  const strict = args.includes('--strict');
  const counts = { passed: 0, failed: 0 };
  const names = args.filter((argument) => argument !== '--strict');
  const run = await runVitest(root, ['--config', 'vitest.servers.config.ts', ...names]);
  addVitest(counts, run);
  // What a suite leaves out for an adapter has no reason; a missing server has one.
  if (strict) counts.failed += run.report?.skipped.filter(({ reason }) => reason !== '').length ?? 0;
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0 ? 0 : 1;
}

async function runVitest(root, args) {
  const report = join(root, 'node_modules', '.cache', `vitest-${process.pid}.json`);
  rmSync(report, { force: true });
  const code = await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', ...args], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, FRESHET_TEST_REPORT: report },
    });
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? 1));
  });
  try {
    return { code, report: existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined };
  } finally {
    rmSync(report, { force: true });
  }
}

function addVitest(counts, { code, report }) {
  if (report === undefined) {
    console.error(`vitest ended with exit code ${code} and left no report`);
    counts.failed++;
    return;
  }
  counts.passed += report.passed;
  counts.failed += report.failed.length;
  // A run may fail without a failed test, for example when no test matched: that must not look like success.
  if (code !== 0 && report.failed.length === 0) counts.failed++;
  for (const outcome of ['skipped', 'failed'])
    for (const { name, reason } of report[outcome])
      console.log(`${outcome}: ${name}${reason === '' ? '' : ` – ${reason.split('\n', 1)[0]}`}`);
}
