// npm run quickstart: from a fresh clone to a fine-tuned model that answers.
import { bootstrap, run, stage, turbo } from './bootstrap.mjs';

stage('install', bootstrap);
stage('build', () => turbo(['build', '--filter=qlorajs...']));
run(process.execPath, ['apps/cli/bin/qlora.js', 'quickstart', ...process.argv.slice(2)], {
  shell: false,
  env: { ...process.env, QLORA_COMMAND: 'npx qlora' }, // what to type next, from here
});
