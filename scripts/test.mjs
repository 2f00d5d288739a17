// npm test: everything that must hold, from a fresh clone. Arguments go to vitest.
import { bootstrap, run, stage, tool, turbo } from './bootstrap.mjs';
import { installChromium } from './chromium.mjs';

stage('install', bootstrap);
stage('chromium', installChromium);
stage('build', () => turbo(['build']));
process.env.QLORAJS_BUILT = '1';
stage('lint', () => tool('biome', ['check', '.']));
stage('unused', () => tool('knip', []));
stage('layers', () =>
  tool('depcruise', ['--config', '.dependency-cruiser.cjs', 'packages', 'apps']),
);
// One program for all packages: each alone would read its neighbours' sources again.
stage('typecheck', () => {
  tool('tsc', ['-p', '.']);
  // Types of a page and of Node never meet in one program.
  tool('tsc', ['-p', 'apps/playground']);
});
stage('packages', () => run(process.execPath, ['tools/publish/check.mjs']));
stage('consumers', () => run(process.execPath, ['tools/publish/consumers.mjs']));
stage('tests', () => tool('vitest', ['run', ...process.argv.slice(2)]));
