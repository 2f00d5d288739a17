// npm run coverage: the unit tests with V8's coverage; prints the untested lines of every file below 100 %.
// Code that runs in workers, browsers, WebAssembly or child processes does not count: V8 sees this process.
import { bootstrap, stage, tool, turbo } from './bootstrap.mjs';

stage('install', bootstrap);
stage('build', () => turbo(['build']));
const flags = [
  ...['--coverage.enabled', '--coverage.provider=v8', '--coverage.reporter=text'],
  ...['--coverage.reporter=json-summary', '--coverage.include=packages/*/src/**/*.ts'],
  ...['--coverage.include=apps/cli/src/**/*.ts', '--coverage.exclude=**/*.test.ts'],
  ...['--coverage.reportOnFailure', '--exclude=**/test/browser/**'],
];
stage('tests', () => tool('vitest', ['run', ...flags, ...process.argv.slice(2)]));
