import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  adapterFiles,
  BestAdapter,
  endsWithBest,
  formatTrainerState,
  History,
  loopOptions,
  modelCard,
  planRun,
  plotLosses,
  type RunPlan,
  type RunSummary,
  type StateOptions,
  stateOptions,
  trainable,
} from '@qlorajs/session';
import {
  type EvaluationEvent,
  INITIAL_STATE,
  type LoopState,
  type TrainEvent,
  type TrainResult,
  train,
} from '@qlorajs/trainer';
import { fillFolder, placeFiles } from '../io/atomic.js';
import type { Progress } from '../report/progress.js';
import { peakResidentBytes } from '../report/resident.js';
import type { Ui } from '../report/ui.js';
import { VERSION } from '../version.js';
import { CheckpointKeeper } from './checkpoint-keeper.js';
import { withLastCheckpoint } from './failure.js';
import type { TrainingJob } from './prepare.js';
import { RunLogs } from './run-logs.js';
import { TrainDisplay } from './train-display.js';

/** Its figures, with those of the process. */
export interface ProcessSummary extends RunSummary {
  readonly peakResidentBytes: number;
}

/** How a run ended. */
export type RunOutcome =
  | { readonly interrupted: false; readonly reason: string; readonly summary: ProcessSummary }
  | { readonly interrupted: true; readonly step: number; readonly checkpoint: string | null };

/** Removes what an earlier run left in the folder, and nothing else. */
async function clearEarlierRun(out: string): Promise<void> {
  const names =
    /^(checkpoint-\d+|adapter_(config\.json|model\.safetensors)|train_log\.jsonl|runs)$/;
  for (const name of await readdir(out))
    if (names.test(basename(name))) await rm(join(out, name), { recursive: true, force: true });
}

/** One run of the loop, with its log, its display and its files. */
export class TrainingRun {
  readonly #job: TrainingJob;
  readonly #ui: Ui;
  readonly #history: History;
  readonly #logs: RunLogs;
  readonly #display: TrainDisplay;
  readonly #best: BestAdapter;
  readonly #keeper: CheckpointKeeper;
  readonly #state: StateOptions;
  readonly #plan: RunPlan;
  readonly #endsWithBest: boolean;
  #lastEvaluation: EvaluationEvent | null = null;

  constructor(job: TrainingJob, ui: Ui, progress: Progress) {
    const { options, backend, resumed, adapter } = job;
    const memory = () => backend.memory().peak;
    this.#job = job;
    this.#ui = ui;
    this.#plan = planRun(options, job.train.batchesPerEpoch);
    this.#history = new History(options.loggingSteps, memory, resumed?.figures);
    this.#logs = new RunLogs(options, ui);
    this.#display = new TrainDisplay(ui, progress, memory);
    this.#best = new BestAdapter(adapter, resumed?.best ?? null);
    this.#endsWithBest = endsWithBest(options);
    const parameters = job.baseParameters + job.adapterParameters;
    this.#state = stateOptions(options, this.#plan, parameters);
    this.#keeper = new CheckpointKeeper(job, ui, this.#best, this.#state);
  }

  /**
   * Trains to the end or until the signal, and writes the folder.
   * @param lossBefore held-out loss before the first step, where it was measured
   */
  async run(signal: AbortSignal, lossBefore: number | null = null): Promise<RunOutcome> {
    const { options, resumed } = this.#job;
    const loop = resumed?.state.loop ?? INITIAL_STATE;
    if (resumed === null && options.overwrite) await clearEarlierRun(options.out);
    await this.#logs.begin(resumed && { folder: resumed.folder, step: loop.step });
    const started = performance.now();
    try {
      const result = await this.#loop(loop, signal);
      await this.#logs.flush();
      this.#display.done();
      if (result.reason === 'aborted') return await this.#interrupted(result.state, loop.step);
      if (this.#endsWithBest) this.#best.restore();
      const seconds = (performance.now() - started) / 1000;
      const summary = await this.#finish(seconds, result, lossBefore);
      return { interrupted: false, reason: result.reason, summary };
    } catch (error) {
      throw withLastCheckpoint(error, this.#keeper.last, options.autoFit);
    } finally {
      this.#display.done();
    }
  }

  async #loop(resume: LoopState, signal: AbortSignal): Promise<TrainResult> {
    const model = trainable(this.#job, this.#ui);
    const events = train(loopOptions({ ...this.#job, plan: this.#plan, model, resume, signal }));
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
      await this.#take(next.value);
    }
  }

  async #take(event: TrainEvent): Promise<void> {
    if (event.type === 'step') {
      const record = this.#history.step(event);
      if (record !== null) await this.#logs.record(record);
      this.#display.step(event, record);
    } else if (event.type === 'evaluation') {
      this.#lastEvaluation = event;
      await this.#logs.evaluation(event, this.#history.evaluation(event));
      this.#display.evaluation(event);
      if (event.best && this.#endsWithBest) await this.#best.remember();
    } else {
      await this.#logs.flush();
      await this.#keeper.save(event.state, this.#history.figures);
    }
  }

  async #interrupted(state: LoopState, startStep: number): Promise<RunOutcome> {
    if (state.step > startStep) await this.#keeper.save(state, this.#history.figures);
    return { interrupted: true, step: state.step, checkpoint: this.#keeper.last };
  }

  async #finish(
    seconds: number,
    result: TrainResult,
    lossBefore: number | null,
  ): Promise<ProcessSummary> {
    const { options, base, backend, adapterParameters, baseParameters } = this.#job;
    const { figures } = this.#history;
    const losses = figures.entries.filter((entry) => 'loss' in entry).map((entry) => entry.loss);
    const restored = this.#endsWithBest ? figures.best?.loss : undefined;
    const after = restored ?? this.#lastEvaluation?.loss;
    const files = await adapterFiles(this.#job);
    const bestFolder = await this.#keeper.bestFolder(result.state, null);
    const summary: ProcessSummary = {
      steps: figures.globalStep,
      epochs: figures.epoch,
      seconds,
      tokens: figures.tokensSeen,
      tokensPerSecond: this.#display.tokensPerSecond,
      trainLoss: result.meanLoss,
      skippedSteps: result.skippedSteps,
      firstLoss: losses[0] ?? Number.NaN,
      lastLoss: losses.at(-1) ?? Number.NaN,
      evaluation: after === undefined ? null : { before: lossBefore, after },
      examples: this.#job.examples,
      trainableParameters: adapterParameters,
      allParameters: baseParameters + adapterParameters,
      adapterBytes: files['adapter_model.safetensors'].length,
      peakBackendBytes: backend.memory().peak,
      peakResidentBytes: peakResidentBytes(),
      backend: backend.name,
    };
    const entry = {
      epoch: figures.epoch,
      step: figures.globalStep,
      train_loss: summary.trainLoss,
      train_runtime: seconds,
      train_samples_per_second: (this.#job.examples * figures.epoch) / seconds,
      train_steps_per_second: figures.globalStep / seconds,
    };
    await placeFiles(options.out, 'adapter_config.json', (folder) =>
      fillFolder(folder, {
        ...files,
        'README.md': modelCard(base, options, summary, `with qlorajs ${VERSION}`),
        'trainer_state.json': formatTrainerState(figures, this.#state, {
          loop: result.state,
          bestFolder,
          summary: entry,
        }),
        'loss.svg': plotLosses(figures.entries, `${basename(options.out)} on ${base.name}`),
      }),
    );
    return summary;
  }
}
