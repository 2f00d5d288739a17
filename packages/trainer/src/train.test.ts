import { QLoraError } from '@qlorajs/errors';
import { describe, expect, test } from 'vitest';
import type {
  BatchSource,
  LoopState,
  TrainableModel,
  TrainEvent,
  TrainerOptimizer,
  TrainResult,
} from './index.js';
import { fit, type TrainerOptions, train } from './index.js';

/** Rows of numbers; the model is one weight that should become their mean. */
type Rows = readonly number[];

class ToyModel implements TrainableModel<Rows>, TrainerOptimizer {
  weight = 0;
  gradient = 0;
  readonly seeds: number[] = [];
  readonly rates: number[] = [];

  async forwardBackward(rows: Rows, options: { normalizer: number; dropoutSeed: number }) {
    this.seeds.push(options.dropoutSeed);
    for (const row of rows) this.gradient += (2 * (this.weight - row)) / options.normalizer;
    return this.evaluate(rows);
  }

  async evaluate(rows: Rows) {
    const lossSum = rows.reduce((sum, row) => sum + (this.weight - row) ** 2, 0);
    return { lossSum, tokens: rows.length };
  }

  zeroGrad(): void {
    this.gradient = 0;
  }

  async gradNorm() {
    return Math.abs(this.gradient);
  }

  async step(learningRate: number) {
    this.rates.push(learningRate);
    this.weight -= learningRate * this.gradient;
  }
}

function source(batches: readonly Rows[]): BatchSource<Rows> {
  return {
    batchesPerEpoch: batches.length,
    batches: () => batches,
    trainedTokens: (batch) => batch.length,
    tokens: (batch) => batch.length,
  };
}

function setup(batches: readonly Rows[], extra: Partial<TrainerOptions<Rows>> = {}) {
  const model = new ToyModel();
  let time = 0;
  const options: TrainerOptions<Rows> = {
    model,
    optimizer: model,
    train: source(batches),
    learningRate: 0.1,
    schedule: 'linear',
    warmupSteps: 0,
    epochs: 2,
    gradientAccumulationSteps: 1,
    seed: 3,
    clock: () => time++,
    ...extra,
  };
  return { model, options };
}

async function run(
  options: TrainerOptions<Rows>,
): Promise<{ events: TrainEvent[]; result: TrainResult }> {
  const events: TrainEvent[] = [];
  const loop = train(options);
  for (;;) {
    const next = await loop.next();
    if (next.done) return { events, result: next.value };
    events.push(next.value);
  }
}

describe('train', () => {
  test('takes ceil(batches / accumulation) steps an epoch, on the schedule', async () => {
    const { model, options } = setup([[1], [2], [3]], { gradientAccumulationSteps: 2 });
    const { events, result } = await run(options);
    expect(result).toMatchObject({ steps: 4, reason: 'completed', skippedSteps: 0 });
    expect(model.rates).toEqual([0.1, 0.1 * 0.75, 0.1 * 0.5, 0.1 * 0.25]);
    const epochs = events.map((event) => (event.type === 'step' ? event.epoch : Number.NaN));
    expect(epochs).toEqual([2 / 3, 1, 1 + 2 / 3, 2]);
  });

  test('k micro-batches of one row equal one batch of k rows', async () => {
    const one = setup([[1, 5, 9, 2]], { epochs: 5 });
    const four = setup([[1], [5], [9], [2]], { epochs: 5, gradientAccumulationSteps: 4 });
    const [a, b] = [await run(one.options), await run(four.options)];
    expect(four.model.weight).toBeCloseTo(one.model.weight, 12);
    const losses = (events: TrainEvent[]) =>
      events.map((event) => (event.type === 'step' ? event.loss : 0));
    losses(a.events).forEach((loss, i) => {
      expect(losses(b.events)[i]).toBeCloseTo(loss, 12);
    });
  });

  test('a window of uneven batches weighs every token the same', async () => {
    const whole = setup([[1, 5, 9]], { epochs: 1 });
    const uneven = setup([[1, 5], [9]], { epochs: 1, gradientAccumulationSteps: 2 });
    await run(whole.options);
    await run(uneven.options);
    expect(uneven.model.weight).toBeCloseTo(whole.model.weight, 12);
  });

  test('a resumed run takes the very steps that an uninterrupted one takes', async () => {
    const batches = [[1], [4], [2], [8], [5]];
    const whole = setup(batches, { epochs: 3, gradientAccumulationSteps: 2 });
    const uninterrupted = await run(whole.options);
    const begun = setup(batches, { epochs: 3, gradientAccumulationSteps: 2 });
    const loop = train({ ...begun.options, saveSteps: 4 });
    let resume: LoopState | undefined;
    while (!resume) {
      const { value, done } = await loop.next();
      if (!done && value.type === 'checkpoint') resume = JSON.parse(JSON.stringify(value.state));
    }
    const { result } = await run({ ...begun.options, resume });
    expect(begun.model.weight).toBe(whole.model.weight);
    expect(result).toEqual(uninterrupted.result);
    expect(begun.model.seeds).toEqual(whole.model.seeds);
    expect(begun.model.rates).toEqual(whole.model.rates);
  });

  test('evaluates and asks for checkpoints when told to', async () => {
    const { options } = setup([[1], [2]], {
      evaluation: source([[3], [4, 5]]),
      evalSteps: 2,
      saveSteps: 1,
    });
    const { events } = await run(options);
    expect(events.map((event) => `${event.type} ${event.step}`)).toEqual([
      'step 1',
      'checkpoint 1',
      'step 2',
      'evaluation 2',
      'checkpoint 2',
      'step 3',
      'checkpoint 3',
      'step 4',
      'evaluation 4',
    ]);
    const evaluation = events[3];
    if (evaluation?.type !== 'evaluation') throw new Error('expected an evaluation');
    expect(evaluation.tokens).toBe(3);
    expect(evaluation.perplexity).toBeCloseTo(Math.exp(evaluation.loss), 12);
  });

  test('stops early when the evaluation no longer improves', async () => {
    const { options } = setup([[100]], {
      evaluation: source([[0]]),
      evalSteps: 1,
      epochs: 50,
      earlyStoppingPatience: 2,
    });
    const { result } = await run(options);
    expect(result).toMatchObject({ steps: 3, reason: 'early-stopping' });
  });

  test('a resumed run goes on counting evaluations, and keeps its best', async () => {
    const stuck = {
      evaluation: source([[0]]),
      evalSteps: 1,
      saveSteps: 1,
      earlyStoppingPatience: 4,
    };
    const { options } = setup([[100]], { ...stuck, epochs: 50 });
    const states: LoopState[] = [];
    const whole = await fit(options, { onCheckpoint: ({ state }) => states.push(state) });
    expect(whole).toMatchObject({ steps: 5, reason: 'early-stopping' });
    for (const resume of states) {
      const { result } = await run({ ...options, resume });
      expect(result).toMatchObject({ steps: 5, reason: 'early-stopping' });
      expect(result.state.best).toEqual({ step: 1, loss: (0.1 * 2 * 100) ** 2 });
    }
    // Where the run had ended, nothing more is done.
    expect((await run({ ...options, resume: states.at(-1) })).events).toEqual([]);
  });

  test('callbacks get the events in order, and the loop waits for them', async () => {
    const { options } = setup([[1], [2]], {
      evaluation: source([[3]]),
      evalSteps: 2,
      saveSteps: 2,
    });
    const told: string[] = [];
    let busy = false;
    const tell = async ({ type, step }: TrainEvent) => {
      expect(busy).toBe(false);
      busy = true;
      await new Promise((resolve) => setTimeout(resolve, 1));
      busy = false;
      told.push(`${type} ${step}`);
    };
    const result = await fit(options, { onStep: tell, onEval: tell, onCheckpoint: tell });
    expect(result.steps).toBe(4);
    expect(told.slice(0, 4)).toEqual(['step 1', 'step 2', 'evaluation 2', 'checkpoint 2']);
    expect(told.at(-1)).toBe('evaluation 4');
  });

  test('an abort ends the run after the step under way', async () => {
    const controller = new AbortController();
    const { options } = setup([[1], [2]], { signal: controller.signal, epochs: 9 });
    const loop = train(options);
    await loop.next();
    controller.abort();
    expect(await loop.next()).toMatchObject({ done: true, value: { steps: 1, reason: 'aborted' } });
  });

  test('a diverged run stops and names the step', async () => {
    const { options } = setup([[Number.NaN]], { epochs: 99, maxSkippedSteps: 3 });
    await expect(run(options)).rejects.toThrowError(
      /step 3: loss or gradients were not finite 3 steps/,
    );
  });

  test('a batch without a finite loss is skipped, counted and named; the others are learnt from', async () => {
    const { model, options } = setup([[1], [2], [Number.POSITIVE_INFINITY], [4]], {
      epochs: 2,
      gradientAccumulationSteps: 2,
    });
    const train = { ...options.train, describe: ([row]: Rows) => `row ${row}` };
    const { events, result } = await run({ ...options, train });
    const steps = events.map((event) => (event.type === 'step' ? event.skippedBatch : undefined));
    expect(steps).toEqual([null, 'row Infinity', null, 'row Infinity']);
    expect(result).toMatchObject({ steps: 4, skippedSteps: 2 });
    expect(Number.isFinite(result.meanLoss)).toBe(true);
    expect(model.rates).toHaveLength(2); // the optimizer was not asked for the others
    expect(model.weight).toBeGreaterThan(0);
  });

  test('gradients that are not finite skip the step, whatever its losses', async () => {
    const { model, options } = setup([[1], [2]], { epochs: 1 });
    let asked = 0;
    const optimizer: TrainerOptimizer = {
      zeroGrad: () => model.zeroGrad(),
      gradNorm: async () => (asked++ === 0 ? Number.POSITIVE_INFINITY : model.gradNorm()),
      step: (learningRate) => model.step(learningRate),
    };
    const train = { ...options.train, describe: ([row]: Rows) => `row ${row}` };
    const { events, result } = await run({ ...options, optimizer, train });
    expect(events[0]).toMatchObject({
      ...{ skipped: true, skippedBatch: 'row 1', gradNorm: Number.POSITIVE_INFINITY, loss: 1 },
    });
    expect(events[1]).toMatchObject({ skipped: false, skippedBatch: null, gradNorm: 4, loss: 4 });
    expect(result).toMatchObject({ steps: 2, skippedSteps: 1, meanLoss: 4 });
    expect(asked).toBe(2);
    expect(model.rates).toEqual([0.05]);
  });

  test('the error of a diverged run names the rows', async () => {
    const { options } = setup([[Number.NaN]], { epochs: 99, maxSkippedSteps: 2 });
    const train = { ...options.train, describe: () => 'lines 3 and 17' };
    await expect(run({ ...options, train })).rejects.toMatchObject({
      code: 'TRAINER_DIVERGED',
      kind: 'runtime',
      message: expect.stringContaining('the last batch was lines 3 and 17'),
    });
  });

  test('refuses impossible options', async () => {
    await expect(run(setup([]).options)).rejects.toThrowError(/no batches/);
    await expect(run(setup([[1]], { epochs: 0 }).options)).rejects.toThrowError(/num_train_epochs/);
    const wrong = setup([[1]], { gradientAccumulationSteps: 0 });
    await expect(run(wrong.options)).rejects.toThrowError(/gradient_accumulation_steps/);
  });
});

describe('a step without memory', () => {
  const short = new QLoraError('COMPUTE_OUT_OF_MEMORY', 'no room', { kind: 'runtime' });
  const failingAt = (
    model: ToyModel,
    calls: readonly number[],
    error: Error,
  ): TrainableModel<Rows> => {
    let call = 0;
    return {
      evaluate: (rows) => model.evaluate(rows),
      forwardBackward: async (rows, how) => {
        // The gradients are half done by then.
        const result = await model.forwardBackward(rows, how);
        if (calls.includes(++call)) throw error;
        return result;
      },
    };
  };

  test('is taken again once it was mended, to the same weight', async () => {
    const plain = setup([[1], [2], [6]]);
    await run(plain.options);
    const { model, options } = setup([[1], [2], [6]]);
    const errors: unknown[] = [];
    await run({
      ...options,
      model: failingAt(model, [2, 3], short),
      mend: async (error) => errors.push(await error) < 3,
    });
    expect(errors).toEqual([short, short]);
    expect(model.weight).toBe(plain.model.weight);
  });

  test('ends the run with a checkpoint of the step before, once', async () => {
    const events = async (extra: Partial<TrainerOptions<Rows>>, error: Error = short) => {
      const { model, options } = setup([[1], [2], [6]], extra);
      const seen: TrainEvent[] = [];
      const loop = train({
        ...options,
        model: failingAt(model, [3], error),
        mend: async () => false,
      });
      const ending = (async () => {
        for (;;) {
          const next = await loop.next();
          if (next.done) return;
          seen.push(next.value);
        }
      })();
      await expect(ending).rejects.toBe(error);
      return seen.filter(({ type }) => type === 'checkpoint');
    };
    const unsaved = await events({});
    const two = setup([[1], [2], [6]]);
    const states: LoopState[] = [];
    const steps = train({ ...two.options, saveSteps: 1 });
    for (let next = await steps.next(); !next.done; next = await steps.next())
      if (next.value.type === 'checkpoint') states.push(next.value.state);
    expect(unsaved).toEqual([{ type: 'checkpoint', step: 2, state: states[1] }]);
    expect(await events({ saveSteps: 2 })).toHaveLength(1);
    expect(await events({ saveSteps: 1 })).toHaveLength(2);
    // Where the device may be gone, nothing can be kept.
    expect(await events({}, new Error('lost'))).toEqual([]);
  });
});
