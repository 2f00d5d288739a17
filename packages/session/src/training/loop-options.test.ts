import { INITIAL_STATE } from '@qlorajs/trainer';
import { expect, test } from 'vitest';
import { withDefaults } from '../options/defaults.js';
import { trainingOptions } from '../options/training-options.js';
import { endsWithBest, loopOptions, type PreparedLoop } from './loop-options.js';
import { planRun } from './run-plan.js';

test('every option of the loop comes from the run, under its own name', () => {
  const options = withDefaults(trainingOptions, {
    ...{ base: 'tiny', data: 'rows.jsonl', out: 'out', learningRate: 0.125, numTrainEpochs: 2.5 },
    ...{ maxSteps: 17, gradientAccumulationSteps: 3, seed: 99, evalSteps: 4, saveSteps: 6 },
    ...{ earlyStoppingPatience: 5, maxSkippedSteps: 7, warmupSteps: 2 },
    lrSchedulerType: 'cosine',
  });
  const mended: unknown[] = [];
  const model = {
    mend: (error: unknown) => mended.push(error) > 0,
    stepping: (optimizer: unknown) => ({ stepping: optimizer }),
  };
  const parts = { model, optimizer: {}, train: {}, signal: new AbortController().signal };
  const resume = { ...INITIAL_STATE, step: 3 };
  const plan = planRun(options, 50);
  const prepared = { ...parts, options, plan, evaluation: null, resume };
  const { mend, ...settings } = loopOptions(prepared as unknown as PreparedLoop);
  expect(settings).toEqual({
    ...{ ...parts, optimizer: { stepping: parts.optimizer }, resume, evaluation: undefined },
    ...{ learningRate: 0.125, schedule: 'cosine' },
    ...{ warmupSteps: 2, decay: plan.decay, epochs: 2.5, maxSteps: 17, seed: 99 },
    ...{ gradientAccumulationSteps: 3, evalSteps: 4, saveSteps: 6 },
    ...{ earlyStoppingPatience: 5, maxSkippedSteps: 7 },
  });
  expect(mend?.('shortage')).toBe(true);
  expect(mended).toEqual(['shortage']);
});

test.each([
  [false, 0, false],
  [true, 0, true],
  [false, 2, true],
])('best at the end: asked for %s, patience %i', (loadBestModelAtEnd, patience, expected) => {
  expect(endsWithBest({ loadBestModelAtEnd, earlyStoppingPatience: patience })).toBe(expected);
});
