// npm run coverage: what the tests run, and the untested lines of every file below 100 %, in two tables: what
// the processes of the tests run themselves, and of the command what its own processes run. Code in workers,
// browsers, WebAssembly and WGSL does not count: V8 sees JavaScript in a process.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrap, root, run, stage, tool, turbo } from './bootstrap.mjs';

const folder = join(root, 'coverage');
const processes = join(folder, 'processes');

/** A table from what V8 left in the folder for every process of the command's tests. */
async function tableOfCommand() {
  const { CoverageReport } = await import('monocart-coverage-reports');
  const report = new CoverageReport({
    outputDir: join(folder, 'command'),
    logging: 'error',
    entryFilter: ({ url }) => url.endsWith('/apps/cli/dist/qlora.js'),
    sourceFilter: (path) => path.includes('apps/cli/src/'),
    reports: ['text', 'json-summary'],
  });
  await report.addFromDir(processes);
  await report.generate();
}

stage('install', bootstrap);
stage('build', () => turbo(['build']));
rmSync(folder, { recursive: true, force: true });
const given = process.argv.slice(2);
const flags = [
  ...['--coverage.enabled', '--coverage.provider=v8', '--coverage.reporter=text'],
  ...['--coverage.reporter=json-summary', '--coverage.include=packages/*/src/**/*.ts'],
  ...['--coverage.include=apps/cli/src/**/*.ts', '--coverage.exclude=**/*.test.ts'],
  ...['--coverage.reportsDirectory=coverage/tests', '--coverage.reportOnFailure'],
  '--exclude=**/test/browser/**',
];
stage('tests', () => tool('vitest', ['run', ...flags, ...given]));
stage('command', () => {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const env = { ...process.env, NODE_V8_COVERAGE: processes };
  run(process.execPath, [vitest, 'run', 'apps/cli', ...given], { env });
});
await tableOfCommand();
