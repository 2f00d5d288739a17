import type { LoopState } from '@qlorajs/trainer';
import type { TrainingOptions } from '../options/training-options.js';
import type { Figures, HistoryEntry } from './history.js';
import type { RunPlan } from './run-plan.js';

/** What of the options shows in trainer_state.json. */
export interface StateOptions {
  readonly plan: RunPlan;
  readonly numTrainEpochs: number;
  readonly loggingSteps: number;
  readonly evalSteps: number;
  readonly saveSteps: number;
  readonly batchSize: number;
  readonly earlyStoppingPatience: number;
  /** Parameters of base and adapter, for the count of operations. */
  readonly parameters: number;
}

/** What trainer_state.json shows of a run's options. */
export function stateOptions(
  options: TrainingOptions,
  plan: RunPlan,
  parameters: number,
): StateOptions {
  return {
    plan,
    parameters,
    numTrainEpochs: options.numTrainEpochs,
    loggingSteps: options.loggingSteps,
    evalSteps: options.evalSteps,
    saveSteps: options.saveSteps,
    batchSize: options.perDeviceTrainBatchSize,
    earlyStoppingPatience: options.earlyStoppingPatience,
  };
}

/** Where a run is when its state is written. */
export interface StateMoment {
  readonly loop: LoopState;
  /** The checkpoint of the best evaluation, if it was saved. */
  readonly bestFolder: string | null;
  /** The last entry, when the run is over. */
  readonly summary: HistoryEntry | null;
}

/** The counter of transformers' EarlyStoppingCallback, where the run has such a limit. */
function earlyStopping(patience: number, { evaluationsSinceBest }: LoopState): object {
  if (patience === 0) return {};
  return {
    EarlyStoppingCallback: {
      args: { early_stopping_patience: patience, early_stopping_threshold: 0 },
      attributes: { early_stopping_patience_counter: evaluationsSinceBest },
    },
  };
}

/** `json.dumps(value, indent=2, sort_keys=True) + "\n"` of plain data. */
function sortedJson(value: unknown): string {
  const sort = (_: string, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each;
  return `${JSON.stringify(value, sort, 2)}\n`;
}

/**
 * trainer_state.json in the form of transformers' `TrainerState`. `total_flos` is its estimate:
 * 6 operations a parameter and token.
 */
export function formatTrainerState(
  figures: Figures,
  options: StateOptions,
  { loop, bestFolder, summary }: StateMoment,
): string {
  const { best, entries, epoch, globalStep, tokensSeen } = figures;
  const totalFlos = 6 * options.parameters * tokensSeen;
  return sortedJson({
    best_global_step: best?.step ?? null,
    best_metric: best?.loss ?? null,
    best_model_checkpoint: bestFolder,
    epoch,
    eval_steps: options.evalSteps,
    global_step: globalStep,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: summary === null ? entries : [...entries, { ...summary, total_flos: totalFlos }],
    logging_steps: options.loggingSteps,
    max_steps: options.plan.totalSteps,
    num_input_tokens_seen: tokensSeen,
    num_train_epochs: options.numTrainEpochs,
    save_steps: options.saveSteps,
    stateful_callbacks: {
      ...earlyStopping(options.earlyStoppingPatience, loop),
      TrainerControl: {
        args: {
          should_epoch_stop: false,
          should_evaluate: false,
          should_log: false,
          should_save: true,
          should_training_stop: summary !== null,
        },
        attributes: {},
      },
    },
    total_flos: totalFlos,
    train_batch_size: options.batchSize,
    trial_name: null,
    trial_params: null,
  });
}

/** The figures that a trainer_state.json keeps. */
export function parseTrainerState(text: string): Figures {
  const state = JSON.parse(text) as Record<string, unknown>;
  return {
    globalStep: state.global_step as number,
    epoch: state.epoch as number,
    tokensSeen: state.num_input_tokens_seen as number,
    best:
      state.best_metric === null
        ? null
        : { step: state.best_global_step as number, loss: state.best_metric as number },
    entries: state.log_history as HistoryEntry[],
  };
}
