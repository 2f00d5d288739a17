import type { EvaluationEvent, StepEvent } from '@qlorajs/trainer';

/** One line of train_log.jsonl. */
export interface StepRecord {
  readonly step: number;
  readonly epoch: number;
  /** Mean over the steps since the last record that were not skipped; null in the file if all were. */
  readonly loss: number;
  /** Before clipping, of this step. */
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** Real tokens of the steps since the last record. */
  readonly tokens: number;
  readonly tokens_per_second: number;
  /** Most that the backend held so far. */
  readonly memory_bytes: number;
  /** Present when steps were skipped: how many since the last record. */
  readonly skipped_steps?: number;
  /** Present when an evaluation followed this step. */
  readonly eval_loss?: number;
  readonly eval_perplexity?: number;
}

/** One entry of `log_history`, in transformers' names. */
export type HistoryEntry = Readonly<Record<string, number>>;

/** The figures of a run up to a step; what a checkpoint keeps of them. */
export interface Figures {
  readonly globalStep: number;
  readonly epoch: number;
  readonly tokensSeen: number;
  readonly best: { readonly step: number; readonly loss: number } | null;
  readonly entries: readonly HistoryEntry[];
}

const NONE: Figures = { globalStep: 0, epoch: 0, tokensSeen: 0, best: null, entries: [] };

/** Gathers steps into logged records, and remembers the run for trainer_state.json. */
export class History {
  #figures: { -readonly [K in keyof Figures]: Figures[K] };
  #window: StepEvent[] = [];
  readonly #loggingSteps: number;
  readonly #memory: () => number;

  constructor(loggingSteps: number, memory: () => number, earlier: Figures = NONE) {
    this.#figures = { ...earlier };
    this.#loggingSteps = loggingSteps;
    this.#memory = memory;
  }

  get figures(): Figures {
    return this.#figures;
  }

  /** Takes a step; returns a record when it is one to log. */
  step(event: StepEvent): StepRecord | null {
    const figures = this.#figures;
    this.#window.push(event);
    figures.globalStep = event.step;
    figures.epoch = event.epoch;
    figures.tokensSeen += event.tokens;
    if (event.step % this.#loggingSteps !== 0 && event.step !== event.totalSteps) return null;
    return this.#flush();
  }

  /** Takes an evaluation; returns the entry of log_history. */
  evaluation(event: EvaluationEvent): HistoryEntry {
    const entry = {
      epoch: event.epoch,
      eval_loss: event.loss,
      eval_perplexity: event.perplexity,
      eval_runtime: event.seconds,
      eval_tokens_per_second: event.tokens / event.seconds,
      step: event.step,
    };
    const { best, entries } = this.#figures;
    this.#figures.entries = [...entries, entry];
    if (best === null || event.loss < best.loss)
      this.#figures.best = { step: event.step, loss: event.loss };
    return entry;
  }

  #flush(): StepRecord {
    const window = this.#window;
    this.#window = [];
    const last = window.at(-1)!;
    const sum = (of: (event: StepEvent) => number) => window.reduce((total, e) => total + of(e), 0);
    const record = {
      step: last.step,
      epoch: last.epoch,
      loss: sum((e) => (e.skipped ? 0 : e.loss)) / window.filter((e) => !e.skipped).length,
      grad_norm: last.gradNorm,
      learning_rate: last.learningRate,
      tokens: sum((e) => e.tokens),
      tokens_per_second: sum((e) => e.tokens) / sum((e) => e.seconds),
      memory_bytes: this.#memory(),
      ...(window.some((e) => e.skipped) && {
        skipped_steps: window.filter((e) => e.skipped).length,
      }),
    };
    const { step, epoch, loss, grad_norm, learning_rate } = record;
    this.#figures.entries = [
      ...this.#figures.entries,
      { epoch, grad_norm, learning_rate, loss, step },
    ];
    return record;
  }
}
