import type { Batch } from '@qlorajs/dataset';
import { isQLoraError } from '@qlorajs/errors';
import type { Optimizer } from '@qlorajs/paged-optim';
import type { PhiModel } from '@qlorajs/phi2-model';
import type { TrainableModel } from '@qlorajs/trainer';
import type { Notices } from '../notices.js';
import type { TrainingOptions } from '../options/training-options.js';
import type { Pagers } from '../planning/pagers.js';
import { turn } from '../turn.js';
import { splitBatch } from './split-batch.js';

/** What the loop trains, and how it mends a shortage of memory. */
export interface Trainable extends TrainableModel<Batch> {
  /** With `auto_fit`: halves the rows that are computed at one time; false when it cannot. */
  mend(error: unknown): boolean;
}

/** What of a run's preparation the loop's model is made of. */
export interface TrainableParts {
  readonly model: PhiModel;
  readonly options: Pick<
    TrainingOptions,
    'gradientCheckpointing' | 'neftuneNoiseAlpha' | 'autoFit' | 'perDeviceTrainBatchSize'
  >;
  readonly pagers: Pick<Pagers, 'inputs'>;
  /** Its read-back brings the losses, too. */
  readonly optimizer: Pick<Optimizer, 'readback'>;
}

/** The model as the loop sees it; between micro-batches Ctrl-C gets its turn. */
export function trainable(parts: TrainableParts, notices: Notices): Trainable {
  const { model, options, pagers, optimizer } = parts;
  const { gradientCheckpointing, neftuneNoiseAlpha, autoFit } = options;
  const settings = {
    neftuneNoiseAlpha,
    gradientCheckpointing: gradientCheckpointing !== false,
    inputPager: pagers.inputs,
    readback: optimizer.readback,
  };
  let rows = options.perDeviceTrainBatchSize;
  return {
    async forwardBackward(batch, how) {
      // The losses of the whole step, and the norm.
      optimizer.readback.prepare(1 + how.normalizer);
      const losses: Promise<number>[] = [];
      let tokens = 0;
      for (const { batch: part, firstToken } of splitBatch(batch, rows)) {
        const loss = await model.forwardBackward(part, { ...how, ...settings, firstToken });
        losses.push(loss.lossSum);
        tokens += loss.tokens;
        await turn();
      }
      const lossSum = Promise.all(losses).then((all) => all.reduce((sum, each) => sum + each, 0));
      lossSum.catch(() => {}); // told by the read-back
      return { lossSum, tokens };
    },
    async evaluate(batch) {
      const loss = await model.evaluate(batch);
      await turn();
      return loss;
    },
    mend(error) {
      const short = isQLoraError(error) && error.code === 'COMPUTE_OUT_OF_MEMORY';
      if (!autoFit || !short || rows <= 1) return false;
      rows = Math.ceil(rows / 2);
      // Buffers of the size that did not fit.
      model.workspace.dispose();
      notices.warn(
        `out of memory: the step is taken again with ${rows} ${rows === 1 ? 'row' : 'rows'} at a time, to the same result`,
      );
      return true;
    },
  };
}
