import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type DecayOptions, type ScheduleType, scheduleMultiplier, warmupSteps } from './index.js';

interface Case {
  readonly type: ScheduleType | 'constant_with_warmup';
  readonly warmup: number;
  readonly total: number;
  readonly decay?: number;
  readonly shape?: DecayOptions['type'];
  readonly floor?: number;
  readonly multipliers: readonly number[];
}

const { cases } = JSON.parse(
  readFileSync(new URL('../fixtures/schedules.json', import.meta.url), 'utf8'),
) as { cases: readonly Case[] };

test.each(cases)(
  '$type of $total steps, $warmup of warm-up, $decay of $shape decay to $floor',
  (each) => {
    const { type, warmup, total, decay = 0, shape = 'cosine', floor, multipliers } = each;
    const schedule = {
      type: type === 'constant_with_warmup' ? 'constant' : type,
      totalSteps: total,
      warmupSteps: warmup,
      decay: { steps: decay, type: shape, minRatio: floor },
    } as const;
    for (const [step, value] of multipliers.entries())
      expect(scheduleMultiplier(schedule, step), `step ${step}`).toBeCloseTo(value, 12);
  },
);

test('a warm-up ratio is rounded up, and steps win', () => {
  expect(warmupSteps(0, 0.03, 101)).toBe(4);
  expect(warmupSteps(7, 0.03, 101)).toBe(7);
});

test('an unknown schedule is refused by name, and one that lacks its decay', () => {
  const schedule = { type: 'cosinus' as 'cosine', totalSteps: 2, warmupSteps: 0 };
  expect(() => scheduleMultiplier(schedule, 1)).toThrowError(/"cosinus" is unknown/);
  expect(() => scheduleMultiplier({ ...schedule, type: 'warmup_stable_decay' }, 1)).toThrowError(
    /needs its decay/,
  );
});
