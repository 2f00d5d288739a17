import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parallelPlot } from './parallel-plot.js';
import { formatCsv, formatResults, ranked, type TrialResult } from './results.js';
import { readSpec, type SweepSpec } from './spec.js';
import { trialsOf } from './trials.js';

const folder = mkdtempSync(join(tmpdir(), 'qlora-sweep-'));
afterAll(() => rmSync(folder, { recursive: true }));
function read(source: string): Promise<SweepSpec> {
  const file = join(folder, 'sweep.yaml');
  writeFileSync(file, source);
  return readSpec(file);
}
const TRAIN = 'train: {base: phi-nano, data: a.jsonl, eval_split: 0.1}\n';

test('a grid has every combination once, under names that outlive a longer list', async () => {
  const two = await read(`${TRAIN}parameters: {r: [8, 16], learning_rate: [1e-4, 1e-3]}`);
  const trials = trialsOf(two);
  expect(trials.map(({ parameters }) => parameters)).toEqual([
    { r: 8, learning_rate: 1e-4 },
    { r: 8, learning_rate: 1e-3 },
    { r: 16, learning_rate: 1e-4 },
    { r: 16, learning_rate: 1e-3 },
  ]);
  expect(trials[0]!.options).toMatchObject({ base: 'phi-nano', r: 8 });
  const more = trialsOf(await read(`${TRAIN}parameters: {learning_rate: [1e-3], r: [4, 16, 16]}`));
  expect(more).toHaveLength(2);
  expect(more[1]!.name).toBe(trials[3]!.name);
});

test('a random search draws inside its ranges, the same from the same seed, and more on request', async () => {
  const source = (trials: number) =>
    `method: random\ntrials: ${trials}\n${TRAIN}parameters:\n  learning_rate: {min: 1e-4, max: 1e-2, scale: log}\n  r: {min: 2, max: 5, integer: true}\n  lr_scheduler_type: [linear, cosine]\n`;
  const many = trialsOf(await read(source(300))).map(({ parameters }) => parameters);
  expect(trialsOf(await read(source(20))).map(({ parameters }) => parameters)).toEqual(
    many.slice(0, 20),
  );
  expect(new Set(many.map(({ r }) => r))).toEqual(new Set([2, 3, 4, 5]));
  expect(new Set(many.map((each) => each.lr_scheduler_type)).size).toBe(2);
  const rates = many.map(({ learning_rate }) => Number(learning_rate));
  expect(Math.min(...rates)).toBeGreaterThanOrEqual(1e-4);
  expect(Math.max(...rates)).toBeLessThanOrEqual(1e-2);
  const below = rates.filter((rate) => rate < 1e-3).length / rates.length;
  expect(Math.abs(below - 0.5)).toBeLessThan(0.1); // log scale: half below the geometric mean
});

test.each([
  ['parameters: {r: [8]}', 'eval_data or eval_split'],
  [`${TRAIN}parameters: {rank: [8]}`, 'unknown key "parameters.rank"'],
  [`${TRAIN}parameters: {r: [x]}`, 'parameters.r is "x"'],
  [`${TRAIN}parameters: {r: {min: 1, max: 2}}`, 'a grid needs a list'],
  [`${TRAIN}method: bayes\nparameters: {r: [8]}`, 'it must be grid or random'],
  [`method: random\n${TRAIN}parameters: {r: {min: 9, max: 2}}`, 'min the smaller'],
  [`method: random\n${TRAIN}parameters: {r: {min: 0, max: 2, scale: log}}`, 'above 0'],
  [TRAIN, 'parameters must name'],
  [`${TRAIN}parameters: {out: [a]}`, 'unknown key "parameters.out"'],
  ['parameters: [', 'sweep.yaml: '],
])('%s is refused', async (source, message) => {
  await expect(read(source)).rejects.toThrow(message);
});

const result = (r: number, rate: number, loss: number): TrialResult => ({
  ...{ name: `trial-${r}`, parameters: { r, learning_rate: rate, target_modules: 'q_proj,"x"' } },
  ...{ eval_loss: loss, eval_perplexity: Math.exp(loss), train_loss: 1, steps: 3, seconds: 2 },
  trainable_parameters: 10,
});
const results = ranked([result(8, 1e-4, 3), result(16, 1e-3, 2), result(4, 1e-2, 2.5)]);

test('results are ranked, and told as a table, as CSV and as parallel coordinates', () => {
  expect(results.map(({ eval_loss }) => eval_loss)).toEqual([2, 2.5, 3]);
  expect(formatResults(results).split('\n')[1]).toMatch(/^trial-16 +16 +0.001 .* 2\.0000 +7\.39/);
  const [head, first] = formatCsv(results).split('\n');
  expect(head).toBe(
    'name,r,learning_rate,target_modules,eval_loss,eval_perplexity,train_loss,steps,seconds,trainable_parameters',
  );
  expect(first).toContain('trial-16,16,0.001,"q_proj,""x""",2,');
  const svg = parallelPlot(results, 'a & b');
  expect(svg.match(/<polyline/g)).toHaveLength(3);
  expect(svg).toContain('learning_rate (log)');
  expect(svg).toContain('a &amp; b');
  expect(svg).not.toContain('NaN');
});
