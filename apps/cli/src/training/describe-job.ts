import { formatBytes, formatCount } from '@qlorajs/session';
import type { Ui } from '../report/ui.js';
import type { TrainingJob } from './prepare.js';

/** What is about to be trained, in three lines. */
export function describeJob(job: TrainingJob, ui: Ui): void {
  const { adapter, options, optimizer, baseParameters, adapterParameters: trained, backend } = job;
  const share = ((100 * trained) / (baseParameters + trained)).toFixed(4);
  const rows = [
    ...[...adapter.tokens.values()].map(({ module, ids }) => `${ids.length} rows of ${module}`),
    ...[...adapter.modules.keys()].map((name) => `all of ${name}`),
  ];
  ui.info(
    `adapter: r ${adapter.config.r} on ${adapter.layers.size} layers${rows.map((each) => `, ${each}`).join('')}: ${formatCount(trained)} of ${formatCount(baseParameters + trained)} parameters are trained (${share} %)`,
  );
  const batch = `${options.perDeviceTrainBatchSize} x ${options.gradientAccumulationSteps}`;
  ui.info(`data: ${formatCount(job.examples)} examples, ${batch} rows a step`);
  ui.detail(
    `  optimizer state ${formatBytes(optimizer.stateBytes)}; ${formatBytes(backend.memory().live)} on ${backend.name} before the first step`,
  );
}
