import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import type { TrainingOptions } from '@qlorajs/session';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { describeFailure } from '../src/report/failure.js';
import type { TrainingJob } from '../src/training/prepare.js';
import { expected, tinyBase, writeTokenRows } from './support/bases.js';
import { options, trainHere, withModel } from './support/in-process.js';

/** A disk that fails: what a path must contain, and how; null: it works. */
const disk = vi.hoisted(() => ({
  failing: null as { readonly path: string; readonly code: string } | null,
  refused: 0,
}));

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs/promises')>();
  const refusing =
    (write: typeof real.writeFile): typeof real.writeFile =>
    async (path, data, settings) => {
      const { failing } = disk;
      if (failing === null || !String(path).includes(failing.path))
        return write(path, data, settings);
      disk.refused++;
      // As a disk does: a part arrives, then no more.
      const bytes = Buffer.from(data as Uint8Array);
      await write(path, bytes.subarray(0, bytes.length / 2), settings);
      throw Object.assign(new Error(`${failing.code}: write`), {
        code: failing.code,
        syscall: 'write',
      });
    };
  return {
    ...real,
    writeFile: refusing(real.writeFile),
    appendFile: refusing(real.appendFile as typeof real.writeFile),
  };
});

const folder = mkdtempSync(join(tmpdir(), 'qlora-faults-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  disk.failing = null;
});
const at = (name: string) => join(folder, name);
const rows = writeTokenRows(at('rows.jsonl'));

/** Two rows a step and the rest of the epoch, with dropout, saved every second step. */
const run = (out: string, given: Partial<TrainingOptions> = {}) =>
  options({
    ...{ base: tinyBase, data: rows, out: at(out), maxSteps: 7, saveSteps: 2, learningRate: 0.01 },
    ...{ perDeviceTrainBatchSize: 2, lrSchedulerType: 'constant', ...given },
  });
const adapterOf = (out: string) => readFileSync(join(at(out), 'adapter_model.safetensors'));
const saved = (out: string) =>
  readdirSync(at(out))
    .filter((name) => name.startsWith('checkpoint-'))
    .sort();
const resumed = (out: string, from: string, given: Partial<TrainingOptions> = {}) =>
  run(out, { resumeFromCheckpoint: join(at(from), given.resumeFromCheckpoint ?? 'checkpoint-2') });

let whole: Buffer;
beforeAll(async () => {
  await trainHere(run('whole'));
  whole = adapterOf('whole');
});

describe.each([
  ['ENOSPC', 'the disk is full'],
  ['EIO', 'EIO'],
])('a disk that says %s', (code, words) => {
  test.each(['adapter_model.safetensors', 'optimizer.safetensors', 'run_state.json'])(
    'while %s is saved: the old checkpoint stays, training goes on and says so',
    async (file) => {
      const out = `${code}-${file}`;
      const { told, outcome } = await trainHere(run(out), (job) =>
        withModel(job, async (call, forwardBackward, ...args) => {
          // Step 4's checkpoint meets the fault, step 6's does not.
          disk.failing =
            call < 10 ? { path: `.checkpoint-4.tmp-${process.pid}/${file}`, code } : null;
          return forwardBackward(...args);
        }),
      );
      expect(outcome.interrupted).toBe(false);
      const line = told.find((each) => each.includes('could not be saved'));
      expect(line).toContain('step 4: the checkpoint could not be saved');
      expect(line).toContain(words);
      expect(line).toContain('checkpoint-2, is whole');
      expect(saved(out)).toEqual(['checkpoint-2', 'checkpoint-6']);
      expect(readdirSync(at(out)).filter((name) => name.includes('tmp'))).toEqual([]);
      expect(adapterOf(out)).toEqual(whole);
      const again = `${out}-again`;
      await trainHere(resumed(again, out));
      expect(adapterOf(again)).toEqual(whole);
    },
  );

  test('while the log is written: its lines come when there is room', async () => {
    const out = `${code}-log`;
    const { told } = await trainHere(run(out), (job) =>
      withModel(job, async (call, forwardBackward, ...args) => {
        disk.failing = call >= 2 && call <= 4 ? { path: 'train_log.jsonl', code } : null;
        return forwardBackward(...args);
      }),
    );
    expect(told.filter((line) => line.includes('train_log.jsonl')).length).toBeGreaterThan(0);
    const lines = readFileSync(join(at(out), 'train_log.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line).step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('at the end: exit 1, and the last checkpoint is named', async () => {
    const out = `${code}-end`;
    disk.failing = { path: `.files.tmp-${process.pid}`, code };
    const failed = trainHere(run(out));
    await expect(failed).rejects.toThrowError(join(at(out), 'checkpoint-6'));
    const failure = describeFailure(await failed.catch((error) => error), false);
    expect(failure.exitCode).toBe(1);
    expect(existsSync(join(at(out), 'adapter_config.json'))).toBe(false);
    disk.failing = null;
    await trainHere(run(out, { resumeFromCheckpoint: 'auto' }));
    expect(adapterOf(out)).toEqual(whole);
  });
});

describe('a lost device', () => {
  /** Loses the device at the given micro-batches, in the order in which jobs are opened. */
  const losing =
    (...calls: readonly number[]) =>
    (job: TrainingJob, nth: number) =>
      withModel(job, async (call, forwardBackward, ...args) => {
        if (call === calls[nth])
          throw new QLoraError(
            'WEBGPU_DEVICE_LOST',
            'the GPU device was lost (unknown): asleep; start again',
            { kind: 'runtime' },
          );
        return forwardBackward(...args);
      });

  test('the run goes on from the last checkpoint, to the same bytes', async () => {
    const { told, outcome } = await trainHere(run('lost'), losing(5));
    expect(outcome.interrupted).toBe(false);
    expect(told.filter((line) => line.startsWith('warning'))).toEqual([
      `warning: the GPU device was lost (unknown): asleep; the run goes on from ${join(at('lost'), 'checkpoint-4')}`,
    ]);
    expect(adapterOf('lost')).toEqual(whole);
    const log = readFileSync(join(at('lost'), 'train_log.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(log.map((line) => JSON.parse(line).step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('before the first checkpoint: from the beginning; and again later', async () => {
    const { told } = await trainHere(run('lost-twice'), losing(1, 6));
    expect(told.join('\n')).toMatch(/goes on from the beginning, there is no checkpoint yet\n/);
    expect(told.join('\n')).toMatch(/goes on from .*lost-twice.checkpoint-4/);
    expect(adapterOf('lost-twice')).toEqual(whole);
  });

  test('where no device is to be had, or it is lost again at once: the CPU engine', async () => {
    const lost = (nth: number) =>
      trainHere(run(`lost-${nth}`, { backend: 'reference' }), losing(5, nth));
    const twice = await lost(1);
    expect(twice.told.join('\n')).toContain('the CPU engine goes on, slower');
    expect(twice.told.join('\n')).toContain('backend was "reference" and is "wasm"');
    const { trainLoss } = (twice.outcome as { summary: { trainLoss: number } }).summary;
    const log = readFileSync(join(at('whole'), 'trainer_state.json'), 'utf8');
    const expectedLoss = JSON.parse(log).log_history.at(-1).train_loss;
    expect(Math.abs(trainLoss / expectedLoss - 1)).toBeLessThan(1e-5);

    const gone = trainHere(run('gone'), (job, nth) => {
      if (nth === 1)
        throw new QLoraError('WEBGPU_NO_ADAPTER', 'no GPU; buy one', { kind: 'runtime' });
      return losing(5)(job, nth);
    });
    const { told } = await gone;
    expect(told.join('\n')).toContain('there is no new device: no GPU\n');
    expect(adapterOf('gone')).toEqual(whole);
  });

  test('lost on the CPU engine again and again: exit 1, and the checkpoint is named', async () => {
    const error = await trainHere(run('cursed'), losing(5, 1, 1)).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'WEBGPU_DEVICE_LOST' });
    expect(error.message).toContain(`step 4 is in ${join(at('cursed'), 'checkpoint-4')}`);
    expect(describeFailure(error, false).exitCode).toBe(1);
    await trainHere(run('cursed', { resumeFromCheckpoint: 'auto' }));
    expect(adapterOf('cursed')).toEqual(whole);
  });
});

describe('a GPU without memory', () => {
  const short = () =>
    new QLoraError('COMPUTE_OUT_OF_MEMORY', 'no room for logits: use a smaller batch', {
      kind: 'runtime',
    });

  test('the last good step is kept: exit 1, and the run can go on from it', async () => {
    const job = (out: string, given: Partial<TrainingOptions> = {}) =>
      trainHere(run(out, given), (made) =>
        withModel(made, async (call, forwardBackward, ...args) => {
          const result = await forwardBackward(...args);
          if (call === 6) throw short();
          return result;
        }),
      );
    const error = await job('short').catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'COMPUTE_OUT_OF_MEMORY' });
    expect(error.message).toContain('--auto-fit, which takes such a step again with fewer rows');
    expect(error.message).toContain(`step 5 is in ${join(at('short'), 'checkpoint-5')}`);
    expect(describeFailure(error, false).exitCode).toBe(1);
    expect(saved('short')).toEqual(['checkpoint-2', 'checkpoint-4', 'checkpoint-5']);
    await trainHere(run('short', { resumeFromCheckpoint: 'auto' }));
    expect(adapterOf('short')).toEqual(whole);
    const at1 = await job('short-1', {
      maxSteps: 6,
      autoFit: true,
      perDeviceTrainBatchSize: 1,
    }).catch((thrown) => thrown);
    expect(at1.code).toBe('COMPUTE_OUT_OF_MEMORY');
    expect(at1.message).not.toContain('--auto-fit, which');
  });

  test('--auto-fit: a device lost for want of memory is opened with half of the rows', async () => {
    const lost = (job: TrainingJob, nth: number) =>
      withModel(job, async (call, forwardBackward, ...args) => {
        if (nth < 2 && call === 3)
          throw new QLoraError(
            'WEBGPU_DEVICE_LOST',
            'the GPU device was lost (out of memory): full; start again',
            {
              kind: 'runtime',
              details: { outOfMemory: true },
            },
          );
        return forwardBackward(...args);
      });
    const { told } = await trainHere(run('lost-memory', { autoFit: true }), lost);
    const warnings = told.filter((line) => line.startsWith('warning'));
    expect(warnings).toEqual([
      `warning: the GPU device was lost (out of memory): full; the run goes on from ${join(at('lost-memory'), 'checkpoint-2')}, with 1 row at a time`,
      `warning: the GPU device was lost (out of memory): full; the run goes on from ${join(at('lost-memory'), 'checkpoint-2')}`,
      expect.stringContaining('the CPU engine goes on, slower'),
      expect.stringContaining('backend was "auto" and is "wasm"'),
    ]);
    const log = readFileSync(join(at('lost-memory'), 'train_log.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    const expected = readFileSync(join(at('whole'), 'train_log.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(log).toHaveLength(7);
    log.forEach((line, i) => {
      expect(Math.abs(JSON.parse(line).loss / JSON.parse(expected[i]).loss - 1)).toBeLessThan(1e-4);
    });
  });
});

describe('losses that are not finite', () => {
  const bad = (lines: readonly number[]) => (job: Parameters<typeof withModel>[0]) =>
    withModel(job, async (_, forwardBackward, batch, how) => {
      const result = await forwardBackward(batch, how);
      const isBad = (batch as unknown as { lines: number[][] }).lines
        .flat()
        .some((line) => lines.includes(line));
      return isBad ? { ...result, lossSum: Number.NaN } : result;
    });

  test('the step is skipped, counted and told with its lines', async () => {
    const { told, outcome } = await trainHere(run('nan'), bad([2]));
    const lines = told.filter((line) => line.includes('nothing was changed'));
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(line).toMatch(/lines? .*\b2\b/);
    if (outcome.interrupted) throw new Error('interrupted');
    expect(outcome.summary.skippedSteps).toBe(lines.length);
    const log = readFileSync(join(at('nan'), 'train_log.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    const skipped = log.filter((line) => JSON.parse(line).skipped_steps === 1);
    expect(skipped).toHaveLength(lines.length);
    for (const line of skipped) expect(JSON.parse(line).loss).toBeNull();
  });

  test('after the limit the run stops, with the rows and the checkpoint', async () => {
    const failed = trainHere(run('diverged', { maxSkippedSteps: 3 }), bad([1, 2, 3]));
    await expect(failed).rejects.toMatchObject({ code: 'TRAINER_DIVERGED', kind: 'runtime' });
    await expect(failed).rejects.toThrowError(/step 3: .* the last batch was lines? \d/);
    await expect(failed).rejects.toThrowError(/step 2 is in .*checkpoint-2/);
  });
});

describe('another run than the checkpoint', () => {
  const refused = async (given: Partial<TrainingOptions>, words: RegExp) => {
    const wrong = run('refused', {
      resumeFromCheckpoint: join(at('whole'), 'checkpoint-2'),
      ...given,
    });
    await expect(trainHere(wrong)).rejects.toMatchObject({
      code: 'RESUME_MISMATCH',
      kind: 'input',
      message: expect.stringMatching(words),
    });
    expect(existsSync(at('refused'))).toBe(false);
  };

  test('a dataset that changed meanwhile', async () => {
    const data = at('changing.jsonl');
    writeTokenRows(data);
    await trainHere(run('changing', { data }), (job) =>
      withModel(job, (call, forwardBackward, ...args) => {
        if (call === 1) appendFileSync(data, '{"input_ids":[1,2,3],"labels":[1,2,3]}\n');
        return forwardBackward(...args);
      }),
    );
    await refused(
      { data, resumeFromCheckpoint: join(at('changing'), 'checkpoint-2') },
      /the rows of --data have changed \(sha256 was \w{64}, is \w{64}\)/,
    );
  });

  test('a base of the same shape with other weights', async () => {
    const { copyBase } = await import('./support/bases.js');
    const { writeFileSync } = await import('node:fs');
    const base = copyBase(at('other-base'));
    const weights = readFileSync(join(base, 'model.safetensors'));
    weights[weights.length - 1] ^= 1;
    writeFileSync(join(base, 'model.safetensors'), weights);
    await refused({ base }, /the base is another one .*: model\.safetensors changed/);
  });

  test.each([
    [{ learningRate: 0.02 }, /learningRate was 0.01 and is 0.02/],
    [{ r: 8 }, /r was 16 and is 8/],
    [{ seed: 7 }, /seed was 42 and is 7/],
    [{ perDeviceTrainBatchSize: 1 }, /perDeviceTrainBatchSize was 2 and is 1/],
    [{ weightDecay: 0.1 }, /weightDecay was 0 and is 0.1/],
    [{ neftuneNoiseAlpha: 5 }, /neftuneNoiseAlpha was 0 and is 5/],
  ] as const)('other options: %j', (given, words) => refused(given, words));

  test('the same base elsewhere, more steps and other logging are the same run', async () => {
    const { copyBase } = await import('./support/bases.js');
    const base = copyBase(at('moved-base'));
    const { told } = await trainHere(
      run('moved', {
        ...{ base, maxSteps: 8, loggingSteps: 3, threads: 2 },
        resumeFromCheckpoint: join(at('whole'), 'checkpoint-2'),
      }),
    );
    expect(told.some((line) => line.includes('maxSteps was 7 and is 8'))).toBe(true);
  });
});

test('early stopping goes on counting after a resume, and ends with the same best adapter', async () => {
  // The evaluation set gets worse from some step on: the labels are what training does not teach.
  const evalData = at('held-out.jsonl');
  const { appendFileSync: append } = await import('node:fs');
  for (const ids of expected.input_ids)
    append(
      evalData,
      `${JSON.stringify({ input_ids: ids.toReversed(), labels: ids.toReversed() })}\n`,
    );
  const stopping = { evalData, evalSteps: 1, saveSteps: 1, earlyStoppingPatience: 3, maxSteps: 60 };
  const first = await trainHere(run('stopping', { ...stopping, learningRate: 0.05 }));
  if (first.outcome.interrupted) throw new Error('interrupted');
  expect(first.outcome.reason).toBe('early-stopping');
  const last = first.outcome.summary.steps;
  expect(last).toBeLessThan(60);
  for (const step of [last - 2, last - 1, last]) {
    const out = `stopping-from-${step}`;
    const resumeFromCheckpoint = join(at('stopping'), `checkpoint-${step}`);
    const again = await trainHere(
      run(out, { ...stopping, learningRate: 0.05, resumeFromCheckpoint }),
    );
    if (again.outcome.interrupted) throw new Error('interrupted');
    expect(again.outcome.reason).toBe('early-stopping');
    expect(again.outcome.summary.steps).toBe(last);
    expect(again.outcome.summary.trainLoss).toBe(first.outcome.summary.trainLoss);
    expect(adapterOf(out)).toEqual(adapterOf('stopping'));
  }
  const best = JSON.parse(readFileSync(join(at('stopping'), 'trainer_state.json'), 'utf8'));
  expect(best.best_global_step).toBe(last - 3);
  expect(best.best_model_checkpoint).toBe(join(at('stopping'), `checkpoint-${last - 3}`));
  const kept = readFileSync(join(best.best_model_checkpoint, 'adapter_model.safetensors'));
  expect(adapterOf('stopping')).toEqual(kept);
});

test('the best checkpoint is kept beside the newest', async () => {
  const evalData = at('held-out.jsonl');
  const keeping = { evalData, evalSteps: 1, saveSteps: 1, saveTotalLimit: 2, maxSteps: 30 };
  await trainHere(run('kept', { ...keeping, learningRate: 0.05, loadBestModelAtEnd: true }));
  const state = JSON.parse(readFileSync(join(at('kept'), 'trainer_state.json'), 'utf8'));
  expect(saved('kept')).toEqual([`checkpoint-${state.best_global_step}`, 'checkpoint-29'].sort());
  const best = join(state.best_model_checkpoint, 'adapter_model.safetensors');
  expect(adapterOf('kept')).toEqual(readFileSync(best));
});

test('8-bit moments: a resumed run ends with the same bytes, paged or not', async () => {
  // Ranks at which matrices have the 4,096 elements from which moments are of 8 bits.
  const eight = { optim: 'paged_adamw_8bit', r: 64, targetModules: 'all-linear' } as const;
  await trainHere(run('eight', eight));
  const moments = readFileSync(join(at('eight'), 'checkpoint-4/optimizer.safetensors'));
  expect(moments.toString('latin1', 0, 20_000)).toContain('"dtype":"U8"');
  for (const [step, paging] of [
    [2, {}],
    [4, { gradientCheckpointing: 'offload', baseOffload: true, vramBudget: 4_000_000 }],
  ] as const) {
    const out = `eight-from-${step}`;
    const resumeFromCheckpoint = join(at('eight'), `checkpoint-${step}`);
    await trainHere(run(out, { ...eight, ...paging, resumeFromCheckpoint }));
    expect(adapterOf(out)).toEqual(adapterOf('eight'));
  }
  expect(adapterOf('eight')).not.toEqual(whole);
});

test('the same bytes whatever the number of threads', async () => {
  await trainHere(run('threads', { threads: 2, gradientCheckpointing: false }));
  expect(adapterOf('threads')).toEqual(whole);
});
