import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { tinyBase, writeTokenRows } from './support/bases.js';
import { qlora, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const rows = writeTokenRows(join(folder, 'rows.jsonl'));
const onTiny = ['--base', tinyBase, '--data', rows, '--max-steps', '2', '--backend', 'wasm'];
const outOf = (name: string) => join(folder, name);
const adapterOf = (name: string) =>
  readFileSync(join(outOf(name), 'adapter_model.safetensors')).toString('base64');
const peakOf = (name: string) =>
  JSON.parse(
    readFileSync(join(outOf(name), 'train_log.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .at(-1) as string,
  ).memory_bytes as number;
const train = (name: string, ...flags: string[]) =>
  qlora('train', ...onTiny, '--out', outOf(name), ...flags);

let peak = 0;
beforeAll(async () => {
  expect((await train('plain')).stderr).not.toContain('error');
  peak = peakOf('plain');
});

test('plan tells the peak that training has, part by part', async () => {
  const { stdout, code } = await qlora('plan', ...onTiny, '--json');
  expect(code).toBe(0);
  const plan = JSON.parse(stdout);
  expect(plan).toMatchObject({ fits: true, advice: [], steps: 2 });
  expect(plan.seconds).toBeGreaterThan(0);
  expect(Math.abs(plan.peak_bytes / peak - 1)).toBeLessThan(0.05);
  const parts = Object.values(plan.parts as Record<string, number>);
  expect(parts.reduce((sum, bytes) => sum + bytes)).toBe(plan.peak_bytes);
  expect(Object.keys(plan.parts)).toEqual(
    expect.arrayContaining([
      'codes',
      'scales',
      'embedding',
      'head',
      'adapter',
      'gradients',
      'states',
    ]),
  );
});

test('plan names the cheapest change; train refuses, and with --auto-fit makes it', async () => {
  const budget = ['--vram-budget', String(Math.round(0.93 * peak))];
  const planned = JSON.parse((await qlora('plan', ...onTiny, ...budget, '--json')).stdout);
  expect(planned.fits).toBe(false);
  expect(planned.advice).toEqual([expect.stringContaining('--per-device-train-batch-size 2')]);
  const refused = await train('refused', ...budget);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/PLAN_MEMORY|the run takes .* --per-device-train-batch-size 2/);
  const fitted = await train('fitted', ...budget, '--auto-fit');
  expect(fitted.stderr).toContain('to fit of');
  expect(fitted.code).toBe(0);
  expect(peakOf('fitted')).toBeLessThanOrEqual(0.93 * peak);
});

test.each<[string, string[]]>([
  ['memory', []],
  ['file', ['--offload-folder', join(folder, 'pages')]],
])('paging under a budget, into %s, ends with the same bytes', async (name, flags) => {
  const budget = Math.round(0.85 * peak);
  const paged = await train(
    name,
    ...['--vram-budget', String(budget), '--optim', 'paged_adamw_32bit'],
    ...['--gradient-checkpointing', 'offload', '--base-offload', ...flags],
  );
  expect(paged.stderr).not.toContain('rror');
  expect(paged.code).toBe(0);
  expect(adapterOf(name)).toBe(adapterOf('plain'));
  expect(peakOf(name)).toBeLessThanOrEqual(budget);
});

test('checkpointing, offloading and none give the same bytes', async () => {
  for (const [name, ...flags] of [
    ['none', '--no-gradient-checkpointing'],
    ['false', '--gradient-checkpointing', 'false'],
    ['offload', '--gradient-checkpointing', 'offload'],
  ]) {
    const { code, stderr } = await train(name, ...flags);
    expect(code, stderr).toBe(0);
    expect(adapterOf(name), name).toBe(adapterOf('plain'));
  }
});

test('a size that is none is refused', async () => {
  const { code, stderr } = await train('bad', '--vram-budget', 'six');
  expect(code).toBe(2);
  expect(stderr).toContain('as in 6GB, 512MiB');
});
