/**
 * A vitest reporter that leaves counts and the reasons of skipped tests in a file for scripts/test.mjs.
 *
 * vitest's own JSON report drops the reason given to `context.skip(reason)`, and counts a file that could not be
 * loaded as a suite, not as a failure.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';

export default class CountingReporter {
  onTestRunEnd(testModules, unhandledErrors) {
    const target = process.env.FRESHET_TEST_REPORT;
    if (target === undefined) return;
    const report = { passed: 0, failed: unhandledErrors.length, skipped: [] };
    for (const testModule of testModules) {
      report.failed += testModule.errors().length;
      for (const suite of testModule.children.allSuites()) report.failed += suite.errors().length;
      for (const testCase of testModule.children.allTests()) {
        const { state, note } = testCase.result();
        if (state === 'passed') report.passed++;
        else if (state === 'failed') report.failed++;
        else
          report.skipped.push({
            name: `${relative('', testModule.moduleId)} > ${testCase.fullName}`,
            reason: note ?? '',
          });
      }
    }
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, JSON.stringify(report));
  }
}
