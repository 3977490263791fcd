/**
 * A vitest reporter that leaves counts, what failed and the reasons of skipped tests in a file for scripts/test.mjs.
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
    const report = { passed: 0, failed: [], skipped: [] };
    const failed = (name, errors) => {
      for (const error of errors) report.failed.push({ name, reason: error.message ?? String(error) });
    };
    failed('outside of any test', unhandledErrors);
    for (const testModule of testModules) {
      const file = relative('', testModule.moduleId);
      failed(file, testModule.errors());
      for (const suite of testModule.children.allSuites()) failed(`${file} > ${suite.fullName}`, suite.errors());
      for (const testCase of testModule.children.allTests()) {
        const { state, note, errors } = testCase.result();
        const name = `${file} > ${testCase.fullName}`;
        if (state === 'passed') report.passed++;
        else if (state === 'failed') failed(name, [errors[0] ?? { message: '' }]);
        else report.skipped.push({ name, reason: note ?? '' });
      }
    }
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, JSON.stringify(report));
  }
}
