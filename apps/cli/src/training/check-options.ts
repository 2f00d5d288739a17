import { QLoraError } from '@qlorajs/errors';
import type { TrainingOptions } from '../options/training-options.js';

function wrong(option: string, message: string): QLoraError {
  return new QLoraError('OPTION_VALUE', message, { details: { option } });
}

/** Options that have a name but no code yet, and combinations that make no sense. */
export function checkOptions(options: TrainingOptions): void {
  const { evalData, evalSplit, reportTo, vramBudget } = options;
  if (reportTo === 'tensorboard')
    throw wrong('report_to', '--report-to tensorboard is not in this version; use jsonl');
  if (vramBudget !== undefined)
    throw wrong('vram_budget', '--vram-budget is not in this version; leave it out');
  if (evalData !== undefined && evalSplit !== undefined)
    throw wrong('eval_split', 'give --eval-data or --eval-split, not both');
  const evaluates = evalData !== undefined || evalSplit !== undefined;
  if (options.earlyStoppingPatience > 0 && !(evaluates && options.evalSteps > 0))
    throw wrong(
      'early_stopping_patience',
      '--early-stopping-patience needs --eval-steps and --eval-data or --eval-split',
    );
}
