import { formatBytes, formatDuration, trainingOptions } from '@qlorajs/session';
import { EXIT } from '../report/failure.js';
import { onInterrupt } from '../report/interrupt.js';
import { createProgress } from '../report/progress.js';
import { describeJob } from '../training/describe-job.js';
import { lastingRun } from '../training/lasting-run.js';
import { prepareTraining } from '../training/prepare.js';
import { verb } from './verb.js';

export const train = verb({
  name: 'train',
  summary: 'fine-tune a base with QLoRA and write a PEFT adapter folder',
  options: trainingOptions,
  async run(options, ui) {
    const interrupt = onInterrupt(() =>
      ui.warn('stopping after this step; Ctrl-C once more ends at once'),
    );
    const progress = createProgress(ui);
    const { signal } = interrupt;
    let job = await prepareTraining(options, ui, progress, signal);
    try {
      describeJob(job, ui);
      const run = await lastingRun(job, { ui, progress, signal });
      job = run.job;
      const { outcome } = run;
      if (outcome.interrupted) {
        const { step, checkpoint } = outcome;
        ui.warn(
          checkpoint === null
            ? 'interrupted before a step was finished: there is nothing to keep'
            : `interrupted; step ${step} is in ${checkpoint}. The same command with --resume-from-checkpoint auto goes on`,
        );
        ui.result({ interrupted: true, step, checkpoint });
        return EXIT.interrupted;
      }
      const { summary, reason } = outcome;
      ui.print(
        `${options.out}: adapter of ${formatBytes(summary.adapterBytes)} after ${summary.steps} steps in ${formatDuration(summary.seconds)}, loss ${summary.firstLoss.toFixed(4)} → ${summary.lastLoss.toFixed(4)}\n`,
      );
      ui.detail(
        `  peak memory ${formatBytes(summary.peakBackendBytes)} on ${summary.backend}, ${formatBytes(summary.peakResidentBytes)} of the process`,
      );
      ui.result({ out: options.out, reason, ...summary });
      return EXIT.done;
    } finally {
      interrupt.dispose();
      await job.close();
    }
  },
});
