import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tinyBase, writeTokenRows } from './support/bases.js';
import { qlora, start, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const rows = writeTokenRows(join(folder, 'rows.jsonl'));
const file = join(folder, 'sweep.yaml');
writeFileSync(
  file,
  `train: {base: ${tinyBase}, data: ${rows}, eval_data: ${rows}, max_steps: 2, target_modules: q_proj}
parameters: {learning_rate: [1e-3, 1e-2], r: [2, 4]}
`,
);
const out = join(folder, 'out');
const finished = () =>
  existsSync(out)
    ? readdirSync(out).filter((name) => existsSync(join(out, name, 'trial.json')))
    : [];

test('a sweep that was interrupted keeps its finished trials and goes on', async () => {
  const running = start(['sweep', file, '--out', out]);
  while (finished().length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  running.child.kill('SIGINT');
  const stopped = await running.ended;
  expect(stopped.code).toBe(130);
  const before = finished();
  expect(before.length).toBeLessThan(4);
  const written = statSync(join(out, before[0], 'trial.json')).mtimeMs;

  const again = await qlora('sweep', file, '--out', out, '--json');
  expect(again.code).toBe(0);
  expect(again.stderr).toContain('kept');
  const document = JSON.parse(again.stdout);
  expect(document).toMatchObject({ trials: 4, complete: true, failures: [] });
  const losses = document.results.map((each: { eval_loss: number }) => each.eval_loss);
  expect(losses).toHaveLength(4);
  expect(losses).toEqual([...losses].sort((a, b) => a - b));
  expect(statSync(join(out, before[0], 'trial.json')).mtimeMs).toBe(written);
  expect(readFileSync(join(out, 'results.csv'), 'utf8').trim().split('\n')).toHaveLength(5);
  expect(readFileSync(join(out, 'results.svg'), 'utf8')).toContain('<svg');
});

test('a trial that fails is told, and the others are run', async () => {
  const bad = join(folder, 'bad.yaml');
  const train = `{base: ${tinyBase}, data: ${rows}, eval_data: ${rows}, max_steps: 1}`;
  writeFileSync(bad, `train: ${train}\nparameters: {target_modules: [nothing, q_proj]}\n`);
  const ended = await qlora('sweep', bad, '--out', join(folder, 'bad'), '--json');
  expect(ended.code).toBe(1);
  const { results, failures } = JSON.parse(ended.stdout);
  expect(results).toHaveLength(1);
  expect(failures[0].parameters).toEqual({ target_modules: 'nothing' });
  expect(failures[0].error).toContain('nothing');
});
