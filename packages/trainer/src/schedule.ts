import { QLoraError } from '@qlorajs/errors';

/** `lr_scheduler_type` of transformers; `constant` takes a warm-up too, as `constant_with_warmup`. */
export type ScheduleType = 'linear' | 'cosine' | 'constant';

/** A learning-rate schedule. */
export interface ScheduleOptions {
  readonly type: ScheduleType;
  readonly totalSteps: number;
  readonly warmupSteps: number;
}

/** Steps of a warm-up given as a number or, when that is 0, as a share of all steps (rounded up). */
export function warmupSteps(steps: number, ratio: number, totalSteps: number): number {
  return steps > 0 ? steps : Math.ceil(totalSteps * ratio);
}

/**
 * What the learning rate is multiplied by at an optimizer step, as transformers computes it
 * (src/transformers/optimization.py).
 * @param step 0 for the first step
 *
 * @example
 * ```ts
 * import { scheduleMultiplier } from '@qlorajs/trainer';
 *
 * const schedule = { type: 'linear', totalSteps: 10, warmupSteps: 2 } as const;
 * console.log([0, 1, 2, 6, 10].map((step) => scheduleMultiplier(schedule, step)).join(' ')); // 0 0.5 1 0.5 0
 * ```
 */
export function scheduleMultiplier(schedule: ScheduleOptions, step: number): number {
  const { type, totalSteps, warmupSteps: warmup } = schedule;
  if (step < warmup) return step / Math.max(1, warmup);
  const progress = (step - warmup) / Math.max(1, totalSteps - warmup);
  switch (type) {
    case 'constant':
      return 1;
    case 'linear':
      return Math.max(0, 1 - progress);
    case 'cosine':
      return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
    default:
      throw new QLoraError(
        'TRAINER_OPTION',
        `lr_scheduler_type ${JSON.stringify(type)} is unknown; use linear, cosine or constant`,
      );
  }
}
