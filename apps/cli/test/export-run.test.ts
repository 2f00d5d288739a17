import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { trainingBatches } from '@qlorajs/session';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { type Job, parseJob } from '../src/cluster/job.js';
import type { PlannedStep } from '../src/cluster/record-steps.js';
import type { TokenRow } from '../src/cluster/row-table.js';
import { tinyBase, writeTokenRows } from './support/bases.js';
import { qlora, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const rows = writeTokenRows(at('rows.jsonl'));
const jsonLines = <T>(file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
const jobOf = (project: string): Job =>
  parseJob(JSON.parse(readFileSync(join(project, 'job.json'), 'utf8')), 'job.json');

// Two micro-batches of one row a step: three rows make an epoch of two steps, the second short.
const config = at('run.yaml');
writeFileSync(
  config,
  `base: ${tinyBase}
data: ${rows}
backend: wasm
threads: 1
r: 4
max_steps: 5
warmup_steps: 2
lr_scheduler_type: cosine
per_device_train_batch_size: 1
gradient_accumulation_steps: 2
learning_rate: 0.01
loraplus_lr_ratio: 4
weight_decay: 0.1
`,
);
const run = ['--config', config];
const exported = (out: string, ...more: string[]) => {
  const to = more.includes('--to') ? [] : ['--to', 'accelerate'];
  return qlora('export-run', ...run, ...to, '--out', at(out), ...more);
};

beforeAll(async () => {
  const trained = await qlora('train', ...run, '--out', at('trained'), '--save-steps', '3');
  expect(trained.stderr).not.toContain('error');
  expect((await exported('project')).code).toBe(0);
});

describe('an exported project', () => {
  test('holds the rows as the model sees them', () => {
    const given = jsonLines<{ input_ids: number[]; labels: number[] }>(rows);
    const written = jsonLines<TokenRow>(join(at('project'), 'rows.jsonl'));
    expect(written).toEqual(given.map((row, i) => ({ ...row, lines: [i + 1] })));
  });

  test('takes the steps that qlora train takes: order, rates, epochs, tokens', () => {
    const steps = jsonLines<PlannedStep>(join(at('project'), 'steps.jsonl'));
    const log = jsonLines<Record<string, number>>(join(at('trained'), 'train_log.jsonl'));
    const table = jsonLines<TokenRow>(join(at('project'), 'rows.jsonl'));
    const tokensOf = ({ micro_batches }: PlannedStep) =>
      micro_batches.flat().reduce((sum, row) => sum + table[row].input_ids.length, 0);
    expect(
      steps.map((each) => ({
        ...{ step: each.step, epoch: each.epoch, learning_rate: each.learning_rate },
        tokens: tokensOf(each),
      })),
    ).toEqual(
      log.map(({ step, epoch, learning_rate, tokens }) => ({ step, epoch, learning_rate, tokens })),
    );
    const examples = table.map(({ input_ids, labels }, i) => ({
      ...{ inputIds: Int32Array.from(input_ids), labels: Int32Array.from(labels), line: i + 1 },
    }));
    const batching = { batchSize: 1, padId: 0, packedLength: null, shuffleSeed: 42 };
    const source = trainingBatches(examples, batching);
    const inOrder = [0, 1, 2].flatMap((epoch) => source.batches(epoch));
    const lines = steps.flatMap(({ micro_batches }) =>
      micro_batches.map((each) => each.map((row) => [row + 1])),
    );
    expect(lines).toEqual(inOrder.slice(0, lines.length).map((batch) => batch.lines));
    expect(steps.map(({ micro_batches }) => micro_batches.length)).toEqual(
      Array.from({ length: 5 }, (_, i) => (examples.length % 2 === 1 && i % 2 === 1 ? 1 : 2)),
    );
  });

  test('starts with the adapter that qlora train starts with', async () => {
    const still = [...run, '--learning-rate', '0', '--max-steps', '1', '--out', at('still')];
    expect((await qlora('train', ...still)).code).toBe(0);
    for (const file of ['adapter_model.safetensors', 'adapter_config.json'])
      expect(readFileSync(join(at('project'), 'start', file))).toEqual(
        readFileSync(join(at('still'), file)),
      );
  });

  test('says what is trained and how, in a job that its schema takes', () => {
    const job = jobOf(at('project'));
    expect(job).toMatchObject({ target: 'accelerate', total_steps: 5, first_step: 0, workers: 2 });
    expect(job.options).toMatchObject({
      learning_rate: 0.01,
      max_grad_norm: 1,
      load_in_4bit: true,
    });
    const b = job.parameters.filter(({ name }) => name.endsWith('lora_B.weight'));
    expect(b.every(({ rate, weight_decay }) => rate === 4 && weight_decay === 0.1)).toBe(true);
    expect(b[0].shape).toEqual([64, 4]);
    expect(() => parseJob({ ...job, extra: 1 }, 'job.json')).toThrow('extra');
    const names = readdirSync(at('project'));
    expect(names).toContain('worker.py');
    expect(names).not.toContain('train_ray.py');
    const requirements = readFileSync(join(at('project'), 'requirements.txt'), 'utf8');
    expect(
      requirements
        .trim()
        .split('\n')
        .every((line) => /==\d/.test(line)),
    ).toBe(true);
  });

  test('is the same run wherever it is exported to, and another one with another seed', async () => {
    expect((await exported('again')).code).toBe(0);
    expect((await exported('seeded', '--seed', '7')).code).toBe(0);
    const [first, again, seeded] = ['project', 'again', 'seeded'].map(
      (each) => jobOf(at(each)).run,
    );
    expect(again).toBe(first);
    expect(seeded).not.toBe(first);
  });

  test('for Ray brings its workers, and the base where it is asked for', async () => {
    const ray = ['--to', 'ray', '--workers', '3', '--copy-base'];
    expect((await exported('ray', ...ray)).code).toBe(0);
    expect(jobOf(at('ray'))).toMatchObject({ workers: 3, base: { path: 'base' } });
    expect(existsSync(join(at('ray'), 'base/config.json'))).toBe(true);
    expect(readFileSync(join(at('ray'), 'README.md'), 'utf8')).toContain(
      'train_ray.py --workers 3',
    );
  });
});

describe('going on from a checkpoint', () => {
  const checkpoint = () => join(at('trained'), 'checkpoint-3');

  test('hands over moments, adapter and log, and the steps that are left', async () => {
    const ended = await exported('resumed', '--resume-from-checkpoint', checkpoint());
    expect(ended.code).toBe(0);
    const start = join(at('resumed'), 'start');
    for (const file of ['optimizer.safetensors', 'adapter_model.safetensors', 'run_state.json'])
      expect(readFileSync(join(start, file))).toEqual(readFileSync(join(checkpoint(), file)));
    expect(jsonLines(join(start, 'train_log.jsonl'))).toEqual(
      jsonLines(join(at('trained'), 'train_log.jsonl')).slice(0, 3),
    );
    expect(jobOf(at('resumed')).first_step).toBe(3);
    expect(jsonLines(join(at('resumed'), 'steps.jsonl'))).toEqual(
      jsonLines(join(at('project'), 'steps.jsonl')).slice(3),
    );
  });

  test.each([
    ['RESUME_MISMATCH', ['--optim', 'paged_adamw_8bit']],
    ['EXPORT_UNSUPPORTED', ['--to', 'axolotl']],
    ['CHECKPOINT_MISSING', ['--resume-from-checkpoint', 'nowhere']],
    ['OPTION_VALUE', ['--resume-from-checkpoint', 'auto']],
  ])('%s', async (code, flags) => {
    const resume = ['--resume-from-checkpoint', checkpoint(), ...flags];
    const from = flags[0] === '--resume-from-checkpoint' ? flags : resume;
    const ended = await exported('refused', ...from);
    expect(ended.stderr).toContain(code);
    expect(ended.code).toBe(2);
    expect(existsSync(at('refused'))).toBe(false);
  });
});

test('a folder that holds something is left alone unless it may be replaced', async () => {
  cpSync(at('project'), at('taken'), { recursive: true });
  const refused = await exported('taken', '--seed', '9');
  expect(refused.stderr).toContain('OUTPUT_NOT_EMPTY');
  expect(refused.code).toBe(2);
  expect(jobOf(at('taken')).run).toBe(jobOf(at('project')).run);
  expect((await exported('taken', '--seed', '9', '--overwrite')).code).toBe(0);
  expect(jobOf(at('taken')).options.seed).toBe(9);
});

test('for Axolotl: its options, and the rows one after the other', async () => {
  const chats = at('chats.jsonl');
  const text = (each: string) => ({ text: `Una pila es ${each}.` });
  writeFileSync(chats, ['a', 'b', 'c'].map((each) => JSON.stringify(text(each))).join('\n'));
  const flags = [
    ...['--base', 'phi-nano', '--data', chats, '--to', 'axolotl', '--out', at('axolotl')],
    ...['--max-steps', '3', '--per-device-train-batch-size', '1', '--adam-epsilon', '1e-7'],
  ];
  expect((await qlora('export-run', ...flags)).code).toBe(0);
  const source = readFileSync(join(at('axolotl'), 'config.yaml'), 'utf8');
  // PyYAML reads 1e-7 as a text.
  expect(source).toContain('adam_epsilon: 1.0e-7');
  const config = parseYaml(source);
  expect(config).toMatchObject({
    ...{ adapter: 'qlora', load_in_4bit: true, lora_model_dir: './start', max_steps: 3 },
    ...{ curriculum_sampling: true, shuffle_merged_datasets: false, sample_packing: false },
    ...{ optimizer: 'adamw_torch', learning_rate: 2e-4, lr_scheduler: 'linear' },
  });
  const table = jsonLines<TokenRow>(join(at('axolotl'), 'rows.jsonl'));
  const steps = jsonLines<PlannedStep>(join(at('axolotl'), 'steps.jsonl'));
  const ordered = jsonLines<Record<string, number[]>>(join(at('axolotl'), 'ordered_rows.jsonl'));
  expect(ordered.map(({ input_ids }) => input_ids)).toEqual(
    steps.flatMap(({ micro_batches }) => micro_batches.flat().map((i) => table[i].input_ids)),
  );
  expect(ordered.every((row) => row.attention_mask.length === row.labels.length)).toBe(true);
});
