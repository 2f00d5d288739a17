import type { Batch } from '@qlorajs/dataset';
import { isQLoraError } from '@qlorajs/errors';
import type { Optimizer } from '@qlorajs/paged-optim';
import type { PhiModel } from '@qlorajs/phi2-model';
import type { TrainableModel, TrainerOptimizer } from '@qlorajs/trainer';
import type { Notices } from '../notices.js';
import type { TrainingOptions } from '../options/training-options.js';
import type { Pagers } from '../planning/pagers.js';
import { turn } from '../turn.js';
import { splitBatch } from './split-batch.js';

/** What the loop trains, and how it mends a shortage of memory. */
export interface Trainable extends TrainableModel<Batch> {
  /**
   * After a shortage of memory: gives back what the step took, and with `auto_fit` halves the rows that
   * are computed at one time; false when it cannot.
   */
  mend(error: unknown): Promise<boolean>;
  /** An optimizer that, where its step finds no room, gets that of the buffers of the pass before. */
  stepping(optimizer: TrainerOptimizer): TrainerOptimizer;
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
  /** Computed at one time at most; default: the whole micro-batch. */
  readonly rowsAtOnce?: number;
}

/** Times that a step is taken again because pages have left for it. */
const MOST_RETRIES = 8;

/** The model as the loop sees it; between micro-batches Ctrl-C gets its turn. */
export function trainable(parts: TrainableParts, notices: Notices): Trainable {
  const { model, options, pagers, optimizer, rowsAtOnce = Number.POSITIVE_INFINITY } = parts;
  const { gradientCheckpointing, neftuneNoiseAlpha, autoFit } = options;
  const settings = {
    neftuneNoiseAlpha,
    gradientCheckpointing: gradientCheckpointing !== false,
    inputPager: pagers.inputs,
    readback: optimizer.readback,
  };
  let rows = Math.min(options.perDeviceTrainBatchSize, rowsAtOnce);
  let retries = 0;
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
    stepping: (given) => ({
      zeroGrad: () => given.zeroGrad(),
      async gradNorm() {
        const norm = await given.gradNorm();
        retries = 0;
        return norm;
      },
      async step(learningRate, norm) {
        const end = model.backend.onShortage(() => {
          end();
          model.workspace.dispose();
          return true;
        });
        return given.step(learningRate, norm).finally(end);
      },
    }),
    async mend(error) {
      if (!isQLoraError(error) || error.code !== 'COMPUTE_OUT_OF_MEMORY') return false;
      // Pages left, but the driver has their memory only after a wait.
      const pagesLeft = error.details.freed === true && ++retries <= MOST_RETRIES;
      // Buffers of the size that did not fit.
      if (!pagesLeft) model.workspace.dispose();
      const works = await model.backend.sync().then(
        () => true,
        () => false,
      );
      if (!works || pagesLeft) return works;
      if (!autoFit || rows <= 1) return false;
      rows = Math.ceil(rows / 2);
      notices.warn(
        `out of memory: the step is taken again with ${rows} ${rows === 1 ? 'row' : 'rows'} at a time, to the same result`,
      );
      return true;
    },
  };
}
