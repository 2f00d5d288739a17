import { join } from 'node:path';
import { isQLoraError } from '@qlorajs/errors';
import {
  adapterFiles,
  type BestAdapter,
  type Figures,
  formatRunState,
  formatTrainerState,
  type StateOptions,
} from '@qlorajs/session';
import type { LoopState } from '@qlorajs/trainer';
import type { Ui } from '../report/ui.js';
import { checkpointSteps, rotateCheckpoints, writeCheckpoint } from './checkpoint.js';
import type { TrainingJob } from './prepare.js';

/** True for what the system said about a file: no room, a broken disk, no permission. */
export function isFileTrouble(error: unknown): error is Error {
  return isQLoraError(error) && typeof error.details.system === 'string';
}

/** Saves the checkpoints of a run, and remembers the last that is whole. */
export class CheckpointKeeper {
  readonly #job: TrainingJob;
  readonly #ui: Ui;
  readonly #best: BestAdapter;
  readonly #state: StateOptions;
  #last: string | null;

  constructor(job: TrainingJob, ui: Ui, best: BestAdapter, state: StateOptions) {
    this.#job = job;
    this.#ui = ui;
    this.#best = best;
    this.#state = state;
    this.#last = job.resumed?.folder ?? null;
  }

  /** The newest checkpoint of this run, or the one that it went on from; null: there is none. */
  get last(): string | null {
    return this.#last;
  }

  /**
   * The checkpoint of the best evaluation, if there is one.
   * @param saving a step whose checkpoint is about to be there
   */
  async bestFolder({ best }: LoopState, saving: number | null): Promise<string | null> {
    const { out } = this.#job.options;
    if (best === null) return null;
    const isThere = (await checkpointSteps(out)).includes(best.step);
    return isThere || best.step === saving ? join(out, `checkpoint-${best.step}`) : null;
  }

  /**
   * Saves where the run stands. When the system refuses, that is told and the run can go on: earlier
   * checkpoints are as they were.
   * @returns whether it is saved
   */
  async save(loop: LoopState, figures: Figures): Promise<boolean> {
    const { options, optimizer, args } = this.#job;
    const { step } = loop;
    const bestStep = loop.best?.step ?? null;
    const bestFolder = await this.bestFolder(loop, step);
    const content = {
      step,
      files: await adapterFiles(this.#job),
      optimizer: await optimizer.state(),
      best: this.#best.bytes(),
      trainerState: formatTrainerState(figures, this.#state, { loop, bestFolder, summary: null }),
      runState: formatRunState(options, loop, this.#state.plan),
      args,
    };
    try {
      this.#last = await writeCheckpoint(options.out, content);
      const keepsBest = options.loadBestModelAtEnd || options.earlyStoppingPatience > 0;
      await rotateCheckpoints(options.out, options.saveTotalLimit, keepsBest ? bestStep : null);
    } catch (error) {
      if (!isFileTrouble(error)) throw error;
      const last =
        this.#last === null ? 'there is none yet' : `the last one, ${this.#last}, is whole`;
      this.#ui.warn(
        `step ${step}: the checkpoint could not be saved (${error.message}); training goes on, ${last}`,
      );
      return false;
    }
    this.#ui.info(`step ${step}  saved ${this.#last}`);
    return true;
  }
}
