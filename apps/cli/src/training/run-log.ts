import { appendFile, rm, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StepRecord } from '@qlorajs/session';
import { writeWhole } from '../io/atomic.js';
import { withFile } from '../io/file-error.js';
import { kindOf, readText } from '../io/read.js';

/** Name of the log in an output folder. */
export const LOG_FILE = 'train_log.jsonl';

/**
 * train_log.jsonl: a line a logged step, written as soon as nothing more can join it. What cannot be
 * written is kept and written with the next line.
 */
export class RunLog {
  readonly #path: string;
  #pending: StepRecord | null = null;
  #unwritten = '';
  /** Bytes of whole lines in the file. */
  #size = 0;

  constructor(out: string) {
    this.#path = join(out, LOG_FILE);
  }

  /** No log yet; when a run is resumed, its lines up to the checkpoint's step. */
  async begin(
    resumedFrom: { readonly folder: string; readonly step: number } | null,
  ): Promise<void> {
    if (resumedFrom === null) return rm(this.#path, { force: true });
    const source = join(dirname(resumedFrom.folder), LOG_FILE);
    const text = (await kindOf(source)) === 'file' ? await readText(source) : '';
    const kept = linesUpTo(text, resumedFrom.step);
    await writeWhole(this.#path, kept.map((line) => `${line}\n`).join(''));
    this.#size = (await stat(this.#path)).size;
  }

  /** Takes a step's record; it waits for an evaluation of the same step. */
  async record(record: StepRecord): Promise<void> {
    this.#settle();
    this.#pending = record;
    if (this.#unwritten !== '') await this.#write();
  }

  /** Adds an evaluation to the record of its step. */
  amend(step: number, loss: number, perplexity: number): void {
    if (this.#pending?.step === step)
      this.#pending = { ...this.#pending, eval_loss: loss, eval_perplexity: perplexity };
  }

  /** @throws QLoraError when the lines cannot be written; they are kept for the next time */
  async flush(): Promise<void> {
    this.#settle();
    if (this.#unwritten !== '') await this.#write();
  }

  #settle(): void {
    if (this.#pending !== null) this.#unwritten += `${JSON.stringify(this.#pending)}\n`;
    this.#pending = null;
  }

  async #write(): Promise<void> {
    const bytes = new TextEncoder().encode(this.#unwritten);
    await withFile('write', this.#path, async () => {
      // A line that a full disk cut short goes first.
      if ((await kindOf(this.#path)) === 'file') await truncate(this.#path, this.#size);
      await appendFile(this.#path, bytes);
    });
    this.#size += bytes.length;
    this.#unwritten = '';
  }
}

/** The lines of a log up to a step. */
export function linesUpTo(text: string, step: number): string[] {
  return text.split('\n').filter((line) => stepOf(line) <= step);
}

/** The step of a line; infinite for one that is empty or was cut by a crash. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as StepRecord).step;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
