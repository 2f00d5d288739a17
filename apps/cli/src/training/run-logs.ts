import type { HistoryEntry, StepRecord, TrainingOptions } from '@qlorajs/session';
import type { EvaluationEvent } from '@qlorajs/trainer';
import type { Ui } from '../report/ui.js';
import { isFileTrouble } from './checkpoint-keeper.js';
import { RunLog } from './run-log.js';
import { TensorBoardLog } from './tensorboard.js';

/** Tags as transformers' TensorBoardCallback writes them: `train/loss`, `eval/loss`. */
function tagged(prefix: string, values: object): Record<string, number> {
  const scalars = Object.entries(values).filter(
    ([name, value]) => name !== 'step' && Number.isFinite(value),
  );
  return Object.fromEntries(
    scalars.map(([name, value]) => [`${prefix}/${name.replace(/^eval_/, '')}`, value as number]),
  );
}

/** The logs of a run. A log that cannot be written is told once and stops nothing. */
export class RunLogs {
  readonly #options: TrainingOptions;
  readonly #ui: Ui;
  readonly #lines: RunLog;
  #board: TensorBoardLog | null = null;
  #isTold = false;

  constructor(options: TrainingOptions, ui: Ui) {
    this.#options = options;
    this.#ui = ui;
    this.#lines = new RunLog(options.out);
  }

  /** Starts anew, or goes on after the steps of a checkpoint. */
  async begin(
    resumedFrom: { readonly folder: string; readonly step: number } | null,
  ): Promise<void> {
    await this.#lines.begin(resumedFrom);
    if (this.#options.reportTo === 'tensorboard')
      this.#board = await TensorBoardLog.create(this.#options.out, resumedFrom?.step ?? 0);
  }

  async record(record: StepRecord): Promise<void> {
    await this.#try(() => this.#lines.record(record));
    await this.#try(async () => this.#board?.scalars(record.step, tagged('train', record)));
  }

  async evaluation(event: EvaluationEvent, entry: HistoryEntry): Promise<void> {
    this.#lines.amend(event.step, event.loss, event.perplexity);
    await this.#try(async () => this.#board?.scalars(event.step, tagged('eval', entry)));
  }

  async flush(): Promise<void> {
    await this.#try(() => this.#lines.flush());
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
      this.#isTold = false;
    } catch (error) {
      if (!isFileTrouble(error)) throw error;
      if (!this.#isTold)
        this.#ui.warn(
          `${error.message}; training goes on, and lines of train_log.jsonl are kept for when there is room`,
        );
      this.#isTold = true;
    }
  }
}
