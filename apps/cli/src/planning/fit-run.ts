import {
  doesNotFit,
  formatBytes,
  type PlanArgs,
  planTraining,
  type TrainingOptions,
  UNKNOWN_MEMORY,
} from '@qlorajs/session';
import { deviceMemory } from '../io/graphics-memory.js';
import type { Ui } from '../report/ui.js';

/**
 * Plans a run before anything is loaded.
 * @returns the options to run with: those asked for, or with `auto_fit` changed ones
 * @throws QLoraError `PLAN_MEMORY` when it does not fit
 */
export async function fitRun(args: PlanArgs, ui: Ui): Promise<TrainingOptions> {
  const { options } = args;
  const plan = await planTraining({ ...args, deviceMemory: await deviceMemory(args.backend) });
  const budget = plan.budgetBytes === null ? '' : ` of ${formatBytes(plan.budgetBytes)}`;
  ui.detail(`  plan: peak ${formatBytes(plan.peakBytes)}${budget} on ${args.backend.name}`);
  if (plan.budgetBytes === null && args.backend.name === 'webgpu') ui.info(UNKNOWN_MEMORY);
  if (plan.fits) return options;
  if (!options.autoFit || plan.changes.length === 0) throw doesNotFit(plan);
  for (const { text } of plan.changes) ui.warn(`to fit${budget}: ${text}`);
  const changed: TrainingOptions = Object.assign(
    {},
    options,
    ...plan.changes.map((change) => change.options),
  );
  // Paging needs a limit to page under.
  return { ...changed, vramBudget: options.vramBudget ?? plan.budgetBytes ?? undefined };
}
