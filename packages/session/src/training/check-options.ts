import { QLoraError } from '@qlorajs/errors';
import type { TrainingOptions } from '../options/training-options.js';
import { canPageBlocks } from '../planning/pagers.js';

function wrong(option: string, message: string): QLoraError {
  return new QLoraError('OPTION_VALUE', message, { details: { option } });
}

/** Options that have a name but no code yet, and combinations that make no sense. */
export function checkOptions(options: TrainingOptions): void {
  const { evalData, evalSplit } = options;
  if (evalData !== undefined && evalSplit !== undefined)
    throw wrong('eval_split', 'give --eval-data or --eval-split, not both');
  const evaluates = evalData !== undefined || evalSplit !== undefined;
  if (options.loadBestModelAtEnd && !evaluates)
    throw wrong(
      'load_best_model_at_end',
      '--load-best-model-at-end needs --eval-data or --eval-split',
    );
  if (options.groupByLength && !options.shuffle)
    throw wrong('group_by_length', '--group-by-length reorders rows: leave --no-shuffle out');
  const { useDora, modulesToSave = null } = options;
  if (options.baseOffload && !canPageBlocks({ useDora, modulesToSave }))
    throw wrong(
      'base_offload',
      '--base-offload does not go with --use-dora or --modules-to-save; leave one of them out',
    );
  if (options.earlyStoppingPatience > 0 && !(evaluates && options.evalSteps > 0))
    throw wrong(
      'early_stopping_patience',
      '--early-stopping-patience needs --eval-steps and --eval-data or --eval-split',
    );
}
