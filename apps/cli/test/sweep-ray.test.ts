import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tinyBase, writeTokenRows } from './support/bases.js';
import { qlora, temporaryFolder } from './support/qlora.js';

// Ray itself is tried by tools/cluster/sweep_check.py; here a stand-in for its driver takes the plan.
const folder = temporaryFolder();
const rows = writeTokenRows(join(folder, 'rows.jsonl'));
const file = join(folder, 'sweep.yaml');
writeFileSync(
  file,
  `train: {base: ${tinyBase}, data: ${rows}, eval_data: ${rows}, max_steps: 2, backend: wasm}
parameters: {target_modules: [q_proj, nothing]}
`,
);

/** A program that reads a plan from stdin as the driver does. */
function driver(name: string, body: string): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    `#!${process.execPath}
const { readFileSync, writeFileSync } = require('node:fs');
const { spawnSync } = require('node:child_process');
const plan = JSON.parse(readFileSync(0, 'utf8'));
writeFileSync(${JSON.stringify(join(folder, 'plan.json'))}, JSON.stringify(plan));
${body}
`,
  );
  chmodSync(path, 0o755);
  return path;
}

const all = driver(
  'all',
  `for (const { name, command } of plan.trials.reverse()) {
  const { status: code, stdout, stderr } = spawnSync(command[0], command.slice(1), { cwd: plan.cwd, encoding: 'utf8' });
  console.log(JSON.stringify({ name, attempts: 2, code, stdout, stderr }));
}`,
);

test('trials that ran elsewhere land in the same table', async () => {
  const out = join(folder, 'out');
  const flags = ['--on', 'ray', '--trial-cpus', '1', '--max-retries', '5'];
  const ended = await qlora('sweep', file, '--out', out, ...flags, '--python', all, '--json');
  const { results, failures, complete } = JSON.parse(ended.stdout);
  expect(complete).toBe(true);
  expect(results).toHaveLength(1);
  expect(results[0].parameters).toEqual({ target_modules: 'q_proj' });
  expect(failures[0].error).toContain('exit 2: error');
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain('attempt 2');
  const plan = JSON.parse(readFileSync(join(folder, 'plan.json'), 'utf8'));
  expect(plan).toMatchObject({ address: null, workers: 2, cpus: 1, gpus: 0, max_retries: 5 });
  const [{ command, folder: place }] = plan.trials;
  expect(command.slice(-2)).toEqual(['--threads', '1']);
  expect(command).toContain('--resume-from-checkpoint');
  expect(existsSync(join(place, 'options.yaml'))).toBe(true);
  expect(readFileSync(join(out, 'results.csv'), 'utf8').trim().split('\n')).toHaveLength(2);

  // The one that is done is kept; without Ray the sweep says the same.
  const here = await qlora('sweep', file, '--out', join(folder, 'here'), '--json');
  const losses = (text: string) =>
    JSON.parse(text).results.map((each: Record<string, unknown>) => [each.name, each.eval_loss]);
  expect(losses(here.stdout)).toEqual(losses(ended.stdout));
  const again = await qlora('sweep', file, '--out', out, '--on', 'ray', '--python', all);
  expect(again.stderr).toContain('kept');
  expect(JSON.parse(readFileSync(join(folder, 'plan.json'), 'utf8')).trials).toHaveLength(1);
});

test.each([
  ['SWEEP_RAY_MISSING', join(folder, 'nothing-here'), 2],
  [
    'SWEEP_RAY_MISSING',
    driver('no-ray', `console.error("No module named 'ray'"); process.exit(1);`),
    2,
  ],
  ['SWEEP_RAY', driver('broken', `console.error('no cluster'); process.exit(1);`), 1],
  ['SWEEP_RAY', driver('short', ''), 1],
])('%s by %s', async (code, python, exit) => {
  const out = join(folder, `fails-${exit}`);
  const ended = await qlora('sweep', file, '--out', out, '--on', 'ray', '--python', python);
  expect(ended.stderr).toContain(`[${code}]`);
  expect(ended.code).toBe(exit);
});

test('the command on the cluster may lie elsewhere', async () => {
  const flags = ['--on', 'ray', '--python', driver('short', ''), '--cli', '/opt/qlora'];
  await qlora('sweep', file, '--out', join(folder, 'elsewhere'), ...flags);
  const { trials } = JSON.parse(readFileSync(join(folder, 'plan.json'), 'utf8'));
  expect(trials[0].command.slice(0, 2)).toEqual(['/opt/qlora', 'train']);
});
