import { QLoraError } from '@qlorajs/errors';

/** `lr_scheduler_type` of transformers; `constant` takes a warm-up too, as `constant_with_warmup`. */
export const SCHEDULE_TYPES = ['linear', 'cosine', 'constant', 'warmup_stable_decay'] as const;

export type ScheduleType = (typeof SCHEDULE_TYPES)[number];

/** How `warmup_stable_decay` comes down at the end. */
export interface DecayOptions {
  /** Steps of the decay; the steps between it and the warm-up keep the full rate. */
  readonly steps: number;
  /** Shape of the decay; transformers' default is `cosine`. */
  readonly type: 'cosine' | 'linear' | '1-sqrt';
  /** Where the warm-up starts and the decay ends, as a share of the full rate; default 0. */
  readonly minRatio?: number;
}

/** A learning-rate schedule. */
export interface ScheduleOptions {
  readonly type: ScheduleType;
  readonly totalSteps: number;
  readonly warmupSteps: number;
  /** Needed by `warmup_stable_decay`; the other types do not look at it. */
  readonly decay?: DecayOptions;
}

/** Steps of a warm-up given as a number or, when that is 0, as a share of all steps (rounded up). */
export function warmupSteps(steps: number, ratio: number, totalSteps: number): number {
  return steps > 0 ? steps : Math.ceil(totalSteps * ratio);
}

/** Warm-up, a long constant stretch, and a decay (https://arxiv.org/abs/2404.06395). */
function warmupStableDecay(schedule: ScheduleOptions, step: number): number {
  const { totalSteps, warmupSteps: warmup, decay } = schedule;
  if (!decay)
    throw new QLoraError(
      'TRAINER_OPTION',
      'lr_scheduler_type warmup_stable_decay needs its decay: how many steps, and which shape',
    );
  const floor = decay.minRatio ?? 0;
  const scaled = (factor: number) => Math.max(0, factor * (1 - floor) + floor);
  if (step < warmup) return scaled(step / Math.max(1, warmup));
  const decayStart = totalSteps - decay.steps;
  if (step < decayStart) return 1;
  if (step >= totalSteps) return floor;
  const progress = (step - decayStart) / Math.max(1, decay.steps);
  if (decay.type === 'linear') return scaled(1 - progress);
  if (decay.type === '1-sqrt') return scaled(1 - Math.sqrt(progress));
  return scaled(0.5 * (1 + Math.cos(Math.PI * progress)));
}

/**
 * What the learning rate is multiplied by at an optimizer step, as transformers computes it
 * (src/transformers/optimization.py).
 * @param step 0 for the first step
 * @throws QLoraError `TRAINER_OPTION` for a type that is unknown or lacks its decay
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
  if (type === 'warmup_stable_decay') return warmupStableDecay(schedule, step);
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
        `lr_scheduler_type ${JSON.stringify(type)} is unknown; use one of ${SCHEDULE_TYPES.join(', ')}`,
      );
  }
}
