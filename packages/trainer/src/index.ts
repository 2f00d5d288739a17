export type {
  CheckpointEvent,
  EvaluationEvent,
  StepEvent,
  TrainEvent,
  TrainResult,
} from './events.js';
export { fit, type TrainCallbacks } from './fit.js';
export type { BatchSource, Loss, TrainableModel, TrainerOptimizer } from './interfaces.js';
export { INITIAL_STATE, type LoopState } from './loop-state.js';
export { planSteps, type StepPlan } from './plan.js';
export {
  type DecayOptions,
  SCHEDULE_TYPES,
  type ScheduleOptions,
  type ScheduleType,
  scheduleMultiplier,
  warmupSteps,
} from './schedule.js';
export { type TrainerOptions, train } from './train.js';
export { dropoutSeed } from './window.js';
