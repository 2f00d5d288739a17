export type {
  CheckpointEvent,
  EvaluationEvent,
  StepEvent,
  TrainEvent,
  TrainResult,
} from './events.js';
export type { BatchSource, Loss, TrainableModel, TrainerOptimizer } from './interfaces.js';
export { planSteps, type StepPlan } from './plan.js';
export {
  type ScheduleOptions,
  type ScheduleType,
  scheduleMultiplier,
  warmupSteps,
} from './schedule.js';
export { dropoutSeed, type TrainerOptions, train } from './train.js';
