import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { expected, tiny, tinyBase, writeTokenRows } from './support/bases.js';
import { type Ended, qlora, start, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const rows = writeTokenRows(at('rows.jsonl'));
const onTiny = ['train', '--base', tinyBase, '--data', rows, '--lr-scheduler-type', 'constant'];

const jsonLines = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const adapterOf = (out: string) => readFileSync(join(out, 'adapter_model.safetensors'));

describe('against transformers and peft', () => {
  const out = at('reference');
  let ended: Ended;
  beforeAll(async () => {
    const settings = ['--max-steps', '10', '--learning-rate', '0.01', '--weight-decay', '0.01'];
    const schedule = ['--lr-scheduler-type', 'cosine', '--warmup-steps', '2', '--no-shuffle'];
    const start = ['--init-adapter', join(tiny, 'adapter'), '--no-load-in-4bit', '--json'];
    const all = [...settings, ...schedule, ...start];
    ended = await qlora('train', '--base', tinyBase, '--data', rows, '--out', out, ...all);
  });

  test('ten steps have the losses, gradient norms and rates of their run', () => {
    expect(ended.stderr).not.toContain('error');
    expect(ended.code).toBe(0);
    const log = jsonLines(join(out, 'train_log.jsonl'));
    expect(log.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (const [i, { loss, grad_norm, learning_rate }] of expected.trajectory.entries()) {
      expect(Math.abs(log[i].loss - loss)).toBeLessThan(2e-5);
      expect(Math.abs(log[i].grad_norm / grad_norm - 1)).toBeLessThan(1e-3);
      expect(log[i].learning_rate).toBeCloseTo(learning_rate, 10);
    }
  });

  test('stdout is one JSON document', () => {
    const document = JSON.parse(ended.stdout);
    expect(document).toMatchObject({ out, steps: 10, reason: 'completed', examples: 3 });
    expect(document.firstLoss).toBeCloseTo(expected.trajectory[0].loss, 4);
  });

  test('without a tokenizer in the base there are no tokenizer files', () => {
    expect(readdirSync(out).sort()).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
      'loss.svg',
      'train_log.jsonl',
      'trainer_state.json',
    ]);
  });

  test('trainer_state.json has the form of transformers', () => {
    const state = JSON.parse(readFileSync(join(out, 'trainer_state.json'), 'utf8'));
    expect(state).toMatchObject({ global_step: 10, max_steps: 10, train_batch_size: 4 });
    expect(state.log_history).toHaveLength(11);
    expect(state.log_history[10]).toHaveProperty('train_runtime');
  });

  test('a finished run is not overwritten unless asked', async () => {
    const { code, stderr } = await qlora(...onTiny, '--out', out, '--max-steps', '1');
    expect(stderr).toContain('OUTPUT_NOT_EMPTY');
    expect(code).toBe(2);
    const again = await qlora(...onTiny, '--out', out, '--max-steps', '1', '--overwrite');
    expect(again.code).toBe(0);
    expect(jsonLines(join(out, 'train_log.jsonl'))).toHaveLength(1);
  });
});

describe('going on with a run', () => {
  // Quantized, with dropout, in another order every epoch, half an epoch a step.
  const run = [...onTiny, '--per-device-train-batch-size', '2', '--learning-rate', '0.01'];

  test('resumed after three of six steps it gives the same adapter, byte for byte', async () => {
    const [whole, resumed] = [at('whole'), at('resumed')];
    const first = await qlora(...run, '--out', whole, '--max-steps', '6', '--save-steps', '3');
    expect(first.code).toBe(0);
    const from = ['--resume-from-checkpoint', join(whole, 'checkpoint-3')];
    const second = await qlora(...run, '--out', resumed, '--max-steps', '6', ...from);
    expect(second.stderr).toContain('going on after step 3');
    expect(second.code).toBe(0);
    expect(adapterOf(resumed)).toEqual(adapterOf(whole));
    const steps = jsonLines(join(resumed, 'train_log.jsonl')).map(({ step }) => step);
    expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('another run is refused', async () => {
    const from = ['--resume-from-checkpoint', join(at('whole'), 'checkpoint-3')];
    const { code, stderr } = await qlora(...run, '--out', at('other'), '--seed', '7', ...from);
    expect(stderr).toContain('seed was 42 and is 7');
    expect(code).toBe(2);
    expect(existsSync(at('other'))).toBe(false);
  });

  test('only the newest checkpoints are kept', async () => {
    const out = at('limited');
    const saving = ['--save-steps', '1', '--save-total-limit', '2', '--max-steps', '5'];
    expect((await qlora(...run, '--out', out, ...saving)).code).toBe(0);
    const kept = readdirSync(out).filter((name) => name.startsWith('checkpoint'));
    expect(kept.sort()).toEqual(['checkpoint-3', 'checkpoint-4']);
  });
});

describe('Ctrl-C', () => {
  const out = at('interrupted');
  const endless = [...onTiny, '--save-steps', '0', '--out', out];
  const COMPLETE = [
    'adapter_config.json',
    'adapter_model.safetensors',
    'optimizer.safetensors',
    'run_state.json',
    'trainer_state.json',
    'training_args.json',
  ];

  /** Starts a run that would take very long, and waits until it has taken three steps. */
  async function started() {
    const running = start([...endless, '--max-steps', '1000000']);
    await new Promise<void>((resolve) => {
      running.child.stderr?.on('data', (text: string) => text.includes('step 3/') && resolve());
    });
    return running;
  }

  test('once: a checkpoint, 130, and the run can go on to the same end', async () => {
    const { child, ended } = await started();
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect(code).toBe(130);
    expect(stderr).toContain('--resume-from-checkpoint auto');
    const names = readdirSync(out);
    const [checkpoint] = names.filter((name) => name.startsWith('checkpoint-'));
    expect(readdirSync(join(out, checkpoint)).sort()).toEqual(COMPLETE);
    expect(names.sort()).toEqual([checkpoint, 'train_log.jsonl']);

    const steps = Number(checkpoint.slice('checkpoint-'.length)) + 1;
    const resume = ['--resume-from-checkpoint', 'auto', '--max-steps', String(steps)];
    expect((await qlora(...endless, ...resume)).code).toBe(0);
    const whole = at('uninterrupted');
    const fresh = [...onTiny, '--out', whole, '--max-steps', String(steps)];
    expect((await qlora(...fresh)).code).toBe(0);
    expect(adapterOf(out)).toEqual(adapterOf(whole));
  });

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s twice: the end at once, with nothing half-written',
    async (name) => {
      rmSync(out, { recursive: true });
      const { child, ended } = await started();
      child.kill(name);
      // Time for the checkpoint to begin, so that the second one falls into its writing.
      await new Promise((resolve) => setTimeout(resolve, 10));
      child.kill(name);
      const { code, signal } = await ended;
      expect([code, signal]).toContainEqual(code === null ? name : 130);
      const names = readdirSync(out);
      // A lock may stay: the next run finds its process dead and takes it over.
      const hidden = names.filter((each) => each.startsWith('.') && each !== '.qlora.lock');
      expect(hidden).toEqual([]);
      expect(names).not.toContain('adapter_config.json');
      for (const name of names.filter((each) => each.startsWith('checkpoint-')))
        expect(readdirSync(join(out, name)).sort()).toEqual(COMPLETE);
    },
  );
});
