import { appendFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeWhole } from '../io/atomic.js';
import { withFile } from '../io/file-error.js';
import { kindOf, readText } from '../io/read.js';
import type { StepRecord } from './history.js';

/** Name of the log in an output folder. */
export const LOG_FILE = 'train_log.jsonl';

/** train_log.jsonl: a line a logged step, written as soon as nothing more can join it. */
export class RunLog {
  readonly #path: string;
  #pending: StepRecord | null = null;

  constructor(out: string) {
    this.#path = join(out, LOG_FILE);
  }

  /** No log yet; when a run is resumed, its lines up to the checkpoint's step. */
  async begin(
    resumedFrom: { readonly folder: string; readonly step: number } | null,
  ): Promise<void> {
    if (resumedFrom === null) return rm(this.#path, { force: true });
    const source = join(dirname(resumedFrom.folder), LOG_FILE);
    const lines = (await kindOf(source)) === 'file' ? (await readText(source)).split('\n') : [];
    const kept = lines.filter((line) => stepOf(line) <= resumedFrom.step);
    await writeWhole(this.#path, kept.map((line) => `${line}\n`).join(''));
  }

  /** Takes a step's record; it waits for an evaluation of the same step. */
  async record(record: StepRecord): Promise<void> {
    await this.flush();
    this.#pending = record;
  }

  /** Adds an evaluation to the record of its step. */
  amend(step: number, loss: number, perplexity: number): void {
    if (this.#pending?.step === step)
      this.#pending = { ...this.#pending, eval_loss: loss, eval_perplexity: perplexity };
  }

  async flush(): Promise<void> {
    const record = this.#pending;
    if (record === null) return;
    this.#pending = null;
    await withFile('write', this.#path, () =>
      appendFile(this.#path, `${JSON.stringify(record)}\n`),
    );
  }
}

/** The step of a line; infinite for one that is empty or was cut by a crash. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as StepRecord).step;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
