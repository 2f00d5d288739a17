// The long form of a test whose short form is part of `npm test`: node scripts/long-test.mjs faults|fuzz|soak
import { spawnSync } from 'node:child_process';
import { bootstrap, stage, turbo } from './bootstrap.mjs';

const TESTS = {
  faults: { file: 'kills', QLORAJS_KILLS: '200' },
  fuzz: { file: 'fuzz', QLORAJS_FUZZ_CASES: '50000' },
  soak: { file: 'soak', QLORAJS_SOAK_STEPS: '2000' },
};

const { file, ...counts } = TESTS[process.argv[2]] ?? {};
if (file === undefined) throw new Error(`give one of ${Object.keys(TESTS).join(', ')}`);
stage('install', bootstrap);
stage('build', () => turbo(['build']));
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', `apps/cli/test/${file}.test.ts`, '--maxWorkers=1'],
  { stdio: 'inherit', env: { ...counts, ...process.env } },
);
process.exitCode = status ?? 1;
