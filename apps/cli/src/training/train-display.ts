import { formatBytes, formatDuration, formatRate, type StepRecord } from '@qlorajs/session';
import type { EvaluationEvent, StepEvent } from '@qlorajs/trainer';
import type { Progress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';

/** What a person sees of a run: a bar on a terminal, lines elsewhere. */
export class TrainDisplay {
  readonly #ui: Ui;
  readonly #progress: Progress;
  readonly #memory: () => number;
  #seconds = 0;
  #steps = 0;
  #tokens = 0;

  constructor(ui: Ui, progress: Progress, memory: () => number) {
    this.#ui = ui;
    this.#progress = progress;
    this.#memory = memory;
  }

  /** Over all steps so far. */
  get tokensPerSecond(): number {
    return this.#tokens / Math.max(this.#seconds, 1e-9);
  }

  step(event: StepEvent, record: StepRecord | null): void {
    this.#seconds += event.seconds;
    this.#steps++;
    this.#tokens += event.tokens;
    const left = ((event.totalSteps - event.step) * this.#seconds) / this.#steps;
    const speed = event.tokens / event.seconds;
    const text = [
      `step ${event.step}/${event.totalSteps}`,
      `loss ${event.loss.toFixed(4)}`,
      `lr ${formatRate(event.learningRate)}`,
      `${speed.toFixed(0)} tokens/s`,
      formatBytes(this.#memory()),
      `${formatDuration(left)} left`,
    ].join('  ');
    this.#progress.show(text, event.step / event.totalSteps);
    if (event.skipped)
      this.#ui.warn(
        `step ${event.step}: loss or gradients were not finite, nothing was changed (${event.skippedBatch ?? 'batch unknown'})`,
      );
    if (record !== null && !this.#progress.live) this.#ui.info(text);
  }

  evaluation(event: EvaluationEvent): void {
    this.#ui.info(
      `step ${event.step}  held-out loss ${event.loss.toFixed(4)}  perplexity ${event.perplexity.toFixed(2)}${event.best ? '  (best so far)' : ''}`,
    );
  }

  done(): void {
    this.#progress.clear();
  }
}
