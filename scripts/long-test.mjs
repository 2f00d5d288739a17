// The long form of a test whose short form is part of `npm test`: node scripts/long-test.mjs docs|faults|fuzz|soak
import { spawnSync } from 'node:child_process';
import { bootstrap, stage, turbo } from './bootstrap.mjs';

const TESTS = {
  docs: { path: 'tools/docs/pages.test.ts', QLORAJS_LONG_DOCS: '1' },
  faults: { file: 'kills', QLORAJS_KILLS: '200' },
  fuzz: { file: 'fuzz', QLORAJS_FUZZ_CASES: '50000' },
  soak: { file: 'soak', QLORAJS_SOAK_STEPS: '2000' },
};

const { file, path = `apps/cli/test/${file}.test.ts`, ...counts } = TESTS[process.argv[2]] ?? {};
if (TESTS[process.argv[2]] === undefined)
  throw new Error(`give one of ${Object.keys(TESTS).join(', ')}`);
stage('install', bootstrap);
stage('build', () => turbo(['build']));
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', path, '--maxWorkers=1'],
  { stdio: 'inherit', env: { ...counts, ...process.env } },
);
process.exitCode = status ?? 1;
