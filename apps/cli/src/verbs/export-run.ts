import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import { choice, integer, option, required, text, toggle, trainingOptions } from '@qlorajs/session';
import { describeProject, writeProject } from '../cluster/export-project.js';
import { TARGETS } from '../cluster/job.js';
import { prepareExport } from '../cluster/prepare-export.js';
import { openOutput } from '../io/output-folder.js';
import { onInterrupt } from '../report/interrupt.js';
import { createProgress } from '../report/progress.js';
import { verb } from './verb.js';

export const exportRun = verb({
  name: 'export-run',
  summary:
    'hand a training run to Accelerate, Ray Train or Axolotl: a Python project that takes it',
  options: {
    ...trainingOptions,
    to: required(choice(...TARGETS), 'the engine that will train'),
    out: required(text('DIR'), 'folder for the project'),
    workers: option(integer(1), 2, 'processes that the project starts unless it is told otherwise'),
    copy_base: option(toggle, false, 'put the base into the project, too'),
  },
  async run(options, ui) {
    const { to, workers, copyBase, out, ...training } = options;
    if (training.resumeFromCheckpoint === 'auto')
      throw new QLoraError(
        'OPTION_VALUE',
        '--resume-from-checkpoint auto looks into --out, which is a new project here; give the checkpoint-N folder itself',
        { details: { option: 'resume_from_checkpoint' } },
      );
    const interrupt = onInterrupt(() => ui.warn('stopping'));
    const run = await prepareExport(
      { ...training, out },
      ui,
      createProgress(ui),
      interrupt.signal,
    ).finally(() => interrupt.dispose());
    try {
      const project = await describeProject(run, { to, workers, copyBase });
      const output = await openOutput(out, {
        bytes: Object.values({ ...project.files, ...project.start })
          .map((content) => content.length)
          .reduce((sum, each) => sum + each, 0),
        reuse: options.overwrite,
        remedy: 'give another --out, or --overwrite',
      });
      try {
        for (const name of ['start', 'base'])
          await rm(join(out, name), { recursive: true, force: true });
        await writeProject(project, copyBase ? run.base.path : null, out);
      } finally {
        await output.discardIfEmpty();
      }
      const { job } = project;
      const steps = job.total_steps - job.first_step;
      const { loraDropout, optim, perDeviceTrainBatchSize, gradientAccumulationSteps } = training;
      if (to === 'axolotl' && job.examples % (perDeviceTrainBatchSize * gradientAccumulationSteps))
        ui.warn(
          'the last step of an epoch has fewer rows here, and Axolotl fills it with rows of the next: from there on its steps are other ones',
        );
      if (loraDropout > 0)
        ui.warn('torch draws other dropout masks than qlora train: the steps agree on average');
      if (optim === 'paged_adamw_32bit' && to !== 'axolotl')
        ui.warn('paged_adamw_32bit becomes torch.optim.AdamW: the same steps, its moments stay');
      ui.print(`${out}: ${steps} steps for ${to}; README.md there says how to start them\n`);
      ui.result({ out, to, run: job.run, steps, examples: job.examples, workers });
      return 0;
    } finally {
      await run.close();
    }
  },
});
