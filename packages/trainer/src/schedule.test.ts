import { expect, test } from 'vitest';
import { scheduleMultiplier, warmupSteps } from './index.js';

// transformers 5.23.0, get_scheduler(...).lr_lambdas[0](t), 20 steps with 4 of warm-up.
const LINEAR = { 0: 0, 1: 0.25, 4: 1, 5: 0.9375, 12: 0.5, 19: 0.0625, 20: 0, 25: 0 };
const COSINE = { 0: 0, 2: 0.5, 4: 1, 8: 0.8535533905932737, 12: 0.5, 20: 0 };

test.each([
  ['linear', LINEAR],
  ['cosine', COSINE],
  ['constant', { 0: 0, 3: 0.75, 4: 1, 19: 1 }],
] as const)('%s follows transformers', (type, values) => {
  for (const [step, value] of Object.entries(values)) {
    const schedule = { type, totalSteps: 20, warmupSteps: 4 };
    expect(scheduleMultiplier(schedule, Number(step)), step).toBeCloseTo(value, 12);
  }
});

test('a warm-up ratio is rounded up, and steps win', () => {
  expect(warmupSteps(0, 0.03, 101)).toBe(4);
  expect(warmupSteps(7, 0.03, 101)).toBe(7);
});

test('an unknown schedule is refused by name', () => {
  const schedule = { type: 'cosinus' as 'cosine', totalSteps: 2, warmupSteps: 0 };
  expect(() => scheduleMultiplier(schedule, 1)).toThrowError(/"cosinus" is unknown/);
});
