import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, writeSafetensors } from '@qlorajs/safetensors';
import { expect, test } from 'vitest';
import { fileSource } from '../src/io/file-source.js';
import { qlora, temporaryFolder } from './support/qlora.js';

/** What another engine made of an exported run: see fixtures/PROVENANCE.md. */
const fixture = fileURLToPath(new URL('../fixtures/handed-over', import.meta.url));
const folder = temporaryFolder();
let count = 0;

/** A copy of the fixture to spoil. */
function copy(): string {
  const project = join(folder, `project-${count++}`);
  cpSync(fixture, project, { recursive: true });
  return project;
}

const read = (...path: string[]) => readFileSync(join(...path), 'utf8');

function edit(file: string, change: (value: Record<string, unknown>) => object): void {
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')))));
}

/** Writes the adapter of a result again, with other values. */
async function editAdapter(
  project: string,
  change: (name: string, data: Float32Array) => Float32Array | null,
): Promise<void> {
  const path = join(project, 'result/adapter_model.safetensors');
  const file = await openSafetensors(await fileSource(path));
  const tensors: Record<string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }> =
    {};
  for (const [name, { shape }] of file.tensors) {
    const data = change(name, await file.readFloat32(name));
    if (data !== null)
      tensors[name] = { dtype: 'F32', shape: data.length === 1 ? [1] : shape, data };
  }
  writeFileSync(path, writeSafetensors(tensors, { format: 'pt' }));
}

test('brings the adapter home as qlora train would have left it', async () => {
  const out = join(folder, 'home');
  const ended = await qlora('import-run', fixture, '--out', out, '--json');
  expect(ended.stderr).toBe('');
  expect(ended.code).toBe(0);
  expect(readdirSync(out).sort()).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
    'loss.svg',
    'train_log.jsonl',
    'trainer_state.json',
  ]);
  // The same values and the same text that PEFT saves, though Python wrote the tensors in its order.
  const values = async (path: string) => {
    const file = await openSafetensors(await fileSource(path));
    const names = [...file.tensors.keys()].sort();
    return Promise.all(names.map(async (name) => [name, await file.readFloat32(name)]));
  };
  const [mine, theirs, start] = ['home', 'result', 'start'].map((each) =>
    join(each === 'home' ? out : join(fixture, each), 'adapter_model.safetensors'),
  );
  expect(await values(mine)).toEqual(await values(theirs));
  expect(await values(mine)).not.toEqual(await values(start));
  expect(read(out, 'adapter_config.json')).toBe(read(fixture, 'start/adapter_config.json'));
  const lines = (path: string) =>
    read(path, 'train_log.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  expect(lines(out)).toEqual(lines(join(fixture, 'result')));
  const state = JSON.parse(read(out, 'trainer_state.json'));
  expect(state).toMatchObject({ global_step: 5, max_steps: 5, best_global_step: 5 });
  expect(state.log_history).toHaveLength(9);
  const card = read(out, 'README.md');
  expect(card).toContain('by Accelerate (2 processes on cpu in float32; ');
  expect(card).toContain('torch 2.13.0');
  const document = JSON.parse(ended.stdout);
  expect(document).toMatchObject({ engine: 'accelerate', steps: 5 });
  expect(document.lastLoss).toBeCloseTo(lines(out)[4].loss, 12);
  expect(document.evaluation.after).toBeCloseTo(lines(out)[4].eval_loss, 12);
});

/** What can be wrong with a result, and the code of the error. */
const BROKEN: Record<string, readonly [string, (project: string) => unknown]> = {
  'a project without job.json': ['JOB_MISSING', (p) => rmSync(join(p, 'job.json'))],
  'a job of another version': [
    'JOB_BROKEN',
    (p) => edit(join(p, 'job.json'), (job) => ({ ...job, format: 2 })),
  ],
  'rows that were changed': [
    'JOB_BROKEN',
    (p) => writeFileSync(join(p, 'rows.jsonl'), read(p, 'rows.jsonl').replace('[', '[ ')),
  ],
  'no result': ['RESULT_MISSING', (p) => rmSync(join(p, 'result'), { recursive: true })],
  'a run that is under way': [
    'RESULT_MISSING',
    (p) => {
      rmSync(join(p, 'result/adapter_config.json'));
      mkdirSync(join(p, 'result/checkpoint-2'));
    },
  ],
  'the result of another run': [
    'RESULT_MISMATCH',
    (p) => edit(join(p, 'result/run.json'), (run) => ({ ...run, run: '0'.repeat(64) })),
  ],
  'a configuration of another rank': [
    'RESULT_MISMATCH',
    (p) => edit(join(p, 'result/adapter_config.json'), (config) => ({ ...config, r: 4 })),
  ],
  'a tensor too few': [
    'RESULT_MISMATCH',
    (p) => editAdapter(p, (name, data) => (name.includes('lora_A') ? data : null)),
  ],
  'a tensor of another shape': [
    'RESULT_MISMATCH',
    (p) => editAdapter(p, (_, data) => data.slice(0, 1)),
  ],
  'a value that is not finite': [
    'RESULT_MISMATCH',
    (p) => editAdapter(p, (_, data) => data.fill(Number.NaN, 3, 4)),
  ],
  'a log with other learning rates': [
    'RESULT_MISMATCH',
    (p) =>
      writeFileSync(
        join(p, 'result/train_log.jsonl'),
        read(p, 'result/train_log.jsonl').replace(
          '"learning_rate": 0.008',
          '"learning_rate": 0.009',
        ),
      ),
  ],
  'a log that is cut in a line': [
    'RESULT_BROKEN',
    (p) =>
      writeFileSync(
        join(p, 'result/train_log.jsonl'),
        read(p, 'result/train_log.jsonl').slice(0, -20),
      ),
  ],
  'a log of which there is none': [
    'RESULT_BROKEN',
    (p) => renameSync(join(p, 'result/train_log.jsonl'), join(p, 'log')),
  ],
  'a run that ended early': [
    'RESULT_BROKEN',
    (p) =>
      edit(join(p, 'result/run_state.json'), (state) => ({
        ...state,
        loop: { ...(state.loop as object), step: 4 },
      })),
  ],
};

test.each(Object.entries(BROKEN))(
  '%s: one clear error, nothing written',
  async (_, [code, spoil]) => {
    const project = copy();
    await spoil(project);
    const out = join(folder, 'refused');
    const ended = await qlora('import-run', project, '--out', out);
    expect(ended.stderr.trim().split('\n')).toHaveLength(1);
    expect(ended.stderr).toContain(`[${code}]`);
    expect(ended.code).toBe(2);
    expect(existsSync(out)).toBe(false);
  },
);

test("Axolotl's output: the state of transformers' Trainer becomes the log", async () => {
  const project = copy();
  edit(join(project, 'job.json'), (job) => ({ ...job, target: 'axolotl' }));
  const result = join(project, 'result');
  const log = read(result, 'train_log.jsonl')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const name of ['run.json', 'run_state.json', 'train_log.jsonl', 'trainer_state.json'])
    rmSync(join(result, name));
  mkdirSync(join(result, 'checkpoint-5'));
  const entries = log.map(({ step, epoch, loss, grad_norm, learning_rate }) => ({
    ...{ step, epoch, loss, grad_norm, learning_rate, memory: 'text' },
  }));
  const last = { step: 5, epoch: 1.8, train_runtime: 2, train_loss: 5.5 };
  writeFileSync(
    join(result, 'checkpoint-5/trainer_state.json'),
    JSON.stringify({ global_step: 5, epoch: 1.8, log_history: [...entries, last] }),
  );
  const out = join(folder, 'axolotl');
  const ended = await qlora('import-run', project, '--out', out);
  expect(ended.stderr).toBe('');
  expect(ended.code).toBe(0);
  const home = read(out, 'train_log.jsonl')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(home.map(({ loss }) => loss)).toEqual(log.map(({ loss }) => loss));
  expect(home.map(({ tokens }) => tokens)).toEqual(log.map(({ tokens }) => tokens));
  expect(read(out, 'README.md')).toContain('by Axolotl (Axolotl)');
});
