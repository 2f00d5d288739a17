import { INITIAL_STATE, type StepEvent } from '@qlorajs/trainer';
import { expect, test } from 'vitest';
import { withDefaults } from '../options/defaults.js';
import { trainingOptions } from '../options/training-options.js';
import { History, type HistoryEntry } from './history.js';
import { plotLosses, ticks } from './loss-plot.js';
import { planRun } from './run-plan.js';
import { formatTrainerState, parseTrainerState } from './trainer-state.js';

const step = (number: number, loss: number): StepEvent => ({
  type: 'step',
  step: number,
  totalSteps: 5,
  epoch: number / 5,
  loss,
  gradNorm: 2,
  learningRate: 0.1,
  tokens: 10,
  trainedTokens: 5,
  seconds: 2,
  skipped: false,
  skippedBatch: null,
});

test('a record is the mean and the sum of the steps since the last, and the last step has one', () => {
  const history = new History(2, () => 7);
  const records = [4, 2, 3, 1, 5].map((loss, i) => history.step(step(i + 1, loss)));
  expect(records.map((record) => record?.loss)).toEqual([undefined, 3, undefined, 2, 5]);
  expect(records[1]).toEqual({
    step: 2,
    epoch: 0.4,
    loss: 3,
    grad_norm: 2,
    learning_rate: 0.1,
    tokens: 20,
    tokens_per_second: 5,
    memory_bytes: 7,
  });
  expect(history.figures.tokensSeen).toBe(50);
});

test('a skipped step does not count in the mean, and is told', () => {
  const history = new History(3, () => 0);
  history.step(step(1, 4));
  history.step({ ...step(2, Number.NaN), skipped: true });
  expect(history.step(step(3, 2))).toMatchObject({ loss: 3, skipped_steps: 1 });
});

test('what a checkpoint keeps of the figures comes back', () => {
  const history = new History(1, () => 0);
  history.step(step(1, 4));
  history.evaluation({
    type: 'evaluation',
    step: 1,
    epoch: 0.2,
    loss: 3,
    perplexity: Math.exp(3),
    tokens: 8,
    seconds: 2,
    best: true,
  });
  const options = {
    plan: planRun(withDefaults(trainingOptions, { maxSteps: 5 }), 5),
    numTrainEpochs: 1,
    loggingSteps: 1,
    evalSteps: 1,
    saveSteps: 1,
    batchSize: 2,
    earlyStoppingPatience: 3,
    parameters: 100,
  };
  const loop = { ...INITIAL_STATE, step: 1, evaluationsSinceBest: 2 };
  const moment = { loop, bestFolder: 'out/checkpoint-1', summary: null };
  const text = formatTrainerState(history.figures, options, moment);
  expect(JSON.parse(text)).toMatchObject({ best_metric: 3, global_step: 1, total_flos: 6000 });
  expect(JSON.parse(text).best_model_checkpoint).toBe('out/checkpoint-1');
  expect(JSON.parse(text).stateful_callbacks.EarlyStoppingCallback.attributes).toEqual({
    early_stopping_patience_counter: 2,
  });
  const keys = Object.keys(JSON.parse(text));
  expect(keys).toEqual([...keys].sort());
  expect(parseTrainerState(text)).toEqual(history.figures);
});

test('the plot draws every loss inside its frame', () => {
  const entries: HistoryEntry[] = [
    { step: 1, loss: 5 },
    { step: 2, loss: Number.NaN },
    { step: 3, loss: 1 },
    { step: 3, eval_loss: 2 },
  ];
  const svg = plotLosses(entries, 'a < b');
  expect(svg).toContain('a &lt; b');
  expect(svg).not.toContain('NaN');
  const points = [...svg.matchAll(/points="([^"]*)"/g)].map(([, list]) => list.split(' '));
  expect(points.map((list) => list.length)).toEqual([2, 1]);
  for (const point of points.flat()) {
    const [x, y] = point.split(',').map(Number);
    expect(x).toBeGreaterThanOrEqual(64);
    expect(x).toBeLessThanOrEqual(704);
    expect(y).toBeGreaterThanOrEqual(36);
    expect(y).toBeLessThanOrEqual(316);
  }
});

test('ticks are round and inside the range', () => {
  expect(ticks(0, 6.3)).toEqual([0, 2, 4, 6]);
  expect(ticks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
});
