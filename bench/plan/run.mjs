// node bench/plan/run.mjs [BASE] [DATA]: the peak that `qlora plan` predicts beside the one of `qlora train`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const base = process.argv[2] ?? 'phi-nano';
const data = process.argv[3] ?? join(root, 'packages/tutor-dataset/data/tutor_dataset.jsonl');
const backend = process.env.QLORA_BACKEND ?? 'wasm';
const folder = mkdtempSync(join(tmpdir(), 'qlora-plan-'));

function qlora(...args) {
  const command = [join(root, 'apps/cli/bin/qlora.js'), ...args];
  const { stdout, stderr, status } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`qlora ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

const runs = {
  'as it is': [],
  'without checkpointing': ['--no-gradient-checkpointing'],
  '8-bit moments, 8 rows': ['--optim', 'paged_adamw_8bit', '--per-device-train-batch-size', '8'],
  'all offloaded': ['--base-offload', '--gradient-checkpointing', 'offload'],
};
console.log('| run | predicted | measured | off | predicted s a step | measured |');
console.log('|---|---|---|---|---|---|');
for (const [name, flags] of Object.entries(runs)) {
  const same = ['--base', base, '--data', data, '--max-steps', '3', '--backend', backend, ...flags];
  const plan = qlora('plan', ...same, '--json');
  const out = join(folder, name.replaceAll(' ', '-'));
  qlora('train', ...same, '--out', out, '--json');
  const lines = readFileSync(join(out, 'train_log.jsonl'), 'utf8').trim().split('\n');
  const log = lines.map((line) => JSON.parse(line));
  const peak = log.at(-1).memory_bytes;
  const seconds = log.reduce((sum, each) => sum + each.tokens / each.tokens_per_second, 0) / 3;
  const off = (100 * (plan.peak_bytes / peak - 1)).toFixed(2);
  const row = [
    plan.peak_bytes,
    peak,
    `${off} %`,
    plan.seconds_per_step.toFixed(2),
    seconds.toFixed(2),
  ];
  console.log(`| ${[name, ...row].join(' | ')} |`);
}
rmSync(folder, { recursive: true });
