import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Batch } from '@qlorajs/dataset';
import {
  type EvaluationEvent,
  planSteps,
  type TrainableModel,
  type TrainEvent,
  type TrainResult,
  train,
  warmupSteps,
} from '@qlorajs/trainer';
import { fillFolder, placeFiles } from '../io/atomic.js';
import { peakResidentBytes } from '../report/format.js';
import type { Progress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import { VERSION } from '../version.js';
import { adapterFiles } from './adapter-files.js';
import { BestAdapter } from './best-adapter.js';
import { writeCheckpoint } from './checkpoint.js';
import { withLastCheckpoint } from './device-failure.js';
import { History } from './history.js';
import { plotLosses } from './loss-plot.js';
import { modelCard, type RunSummary } from './model-card.js';
import type { TrainingJob } from './prepare.js';
import { RunLog } from './run-log.js';
import { TrainDisplay } from './train-display.js';
import { formatTrainerState, type StateOptions } from './trainer-state.js';

/** How a run ended. */
export type RunOutcome =
  | { readonly interrupted: false; readonly reason: string; readonly summary: RunSummary }
  | { readonly interrupted: true; readonly step: number; readonly checkpoint: string | null };

/** The model as the loop sees it; between micro-batches Ctrl-C gets its turn. */
function trainable({ model, options }: TrainingJob): TrainableModel<Batch> {
  const { gradientCheckpointing } = options;
  return {
    async forwardBackward(batch, how) {
      const loss = await model.forwardBackward(batch, { ...how, gradientCheckpointing });
      await turn();
      return loss;
    },
    async evaluate(batch) {
      const loss = await model.evaluate(batch);
      await turn();
      return loss;
    },
  };
}

/** Removes what an earlier run left in the folder, and nothing else. */
async function clearEarlierRun(out: string): Promise<void> {
  const names = /^(checkpoint-\d+|adapter_(config\.json|model\.safetensors)|train_log\.jsonl)$/;
  for (const name of await readdir(out))
    if (names.test(basename(name))) await rm(join(out, name), { recursive: true, force: true });
}

/** One run of the loop, with its log, its display and its files. */
export class TrainingRun {
  readonly #job: TrainingJob;
  readonly #ui: Ui;
  readonly #history: History;
  readonly #log: RunLog;
  readonly #display: TrainDisplay;
  readonly #best: BestAdapter;
  readonly #state: StateOptions;
  readonly #warmupSteps: number;
  #lastEvaluation: EvaluationEvent | null = null;

  constructor(job: TrainingJob, ui: Ui, progress: Progress) {
    const { options, backend, resumed, adapter } = job;
    const memory = () => backend.memory().peak;
    const plan = planSteps({
      batchesPerEpoch: job.train.batchesPerEpoch,
      gradientAccumulationSteps: options.gradientAccumulationSteps,
      epochs: options.numTrainEpochs,
      maxSteps: options.maxSteps,
    });
    this.#job = job;
    this.#ui = ui;
    this.#history = new History(options.loggingSteps, memory, resumed?.figures);
    this.#log = new RunLog(options.out);
    this.#display = new TrainDisplay(ui, progress, memory);
    this.#best = new BestAdapter(adapter);
    this.#warmupSteps = warmupSteps(options.warmupSteps, options.warmupRatio, plan.totalSteps);
    this.#state = {
      maxSteps: plan.totalSteps,
      numTrainEpochs: options.numTrainEpochs,
      loggingSteps: options.loggingSteps,
      evalSteps: options.evalSteps,
      saveSteps: options.saveSteps,
      batchSize: options.perDeviceTrainBatchSize,
      parameters: job.baseParameters + job.adapterParameters,
    };
  }

  /**
   * Trains to the end or until the signal, and writes the folder.
   * @param lossBefore held-out loss before the first step, where it was measured
   */
  async run(signal: AbortSignal, lossBefore: number | null = null): Promise<RunOutcome> {
    const { options, resumed } = this.#job;
    const startStep = resumed?.figures.globalStep ?? 0;
    if (resumed === null && options.overwrite) await clearEarlierRun(options.out);
    await this.#log.begin(resumed && { folder: resumed.folder, step: startStep });
    const started = performance.now();
    try {
      const result = await this.#loop(startStep, signal);
      await this.#log.flush();
      this.#display.done();
      if (result.reason === 'aborted') return await this.#interrupted(result.steps, startStep);
      if (options.earlyStoppingPatience > 0) this.#best.restore();
      const seconds = (performance.now() - started) / 1000;
      return {
        interrupted: false,
        reason: result.reason,
        summary: await this.#finish(seconds, result, lossBefore),
      };
    } catch (error) {
      throw await withLastCheckpoint(error, options.out);
    } finally {
      this.#display.done();
    }
  }

  async #loop(startStep: number, signal: AbortSignal): Promise<TrainResult> {
    const { options, optimizer, train: source, evaluation } = this.#job;
    const events = train({
      model: trainable(this.#job),
      optimizer,
      train: source,
      evaluation: evaluation ?? undefined,
      learningRate: options.learningRate,
      schedule: options.lrSchedulerType,
      warmupSteps: this.#warmupSteps,
      epochs: options.numTrainEpochs,
      maxSteps: options.maxSteps,
      gradientAccumulationSteps: options.gradientAccumulationSteps,
      seed: options.seed,
      evalSteps: options.evalSteps,
      saveSteps: options.saveSteps,
      earlyStoppingPatience: options.earlyStoppingPatience,
      startStep,
      signal,
    });
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
      await this.#take(next.value);
    }
  }

  async #take(event: TrainEvent): Promise<void> {
    if (event.type === 'step') {
      const record = this.#history.step(event);
      if (record !== null) await this.#log.record(record);
      this.#display.step(event, record);
    } else if (event.type === 'evaluation') {
      this.#lastEvaluation = event;
      this.#history.evaluation(event);
      this.#log.amend(event.step, event.loss, event.perplexity);
      this.#display.evaluation(event);
      if (event.best && this.#job.options.earlyStoppingPatience > 0) await this.#best.remember();
    } else {
      await this.#log.flush();
      this.#ui.info(`step ${event.step}  saved ${await this.#checkpoint(event.step)}`);
    }
  }

  async #checkpoint(step: number): Promise<string> {
    const { options, optimizer, args } = this.#job;
    const content = {
      step,
      files: await adapterFiles(this.#job),
      optimizer: await optimizer.state(),
      trainerState: formatTrainerState(this.#history.figures, this.#state, null),
      args,
    };
    return writeCheckpoint(options.out, content, options.saveTotalLimit);
  }

  async #interrupted(step: number, startStep: number): Promise<RunOutcome> {
    const checkpoint = step > startStep ? await this.#checkpoint(step) : null;
    return { interrupted: true, step, checkpoint };
  }

  async #finish(
    seconds: number,
    result: TrainResult,
    lossBefore: number | null,
  ): Promise<RunSummary> {
    const { options, base, backend, adapterParameters, baseParameters } = this.#job;
    const { figures } = this.#history;
    const losses = figures.entries.filter((entry) => 'loss' in entry).map((entry) => entry.loss);
    const restored = options.earlyStoppingPatience > 0 ? figures.best?.loss : undefined;
    const after = restored ?? this.#lastEvaluation?.loss;
    const files = await adapterFiles(this.#job);
    const summary: RunSummary = {
      steps: figures.globalStep,
      epochs: figures.epoch,
      seconds,
      tokens: figures.tokensSeen,
      tokensPerSecond: this.#display.tokensPerSecond,
      trainLoss: result.meanLoss,
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
        'README.md': modelCard(base, options, summary, VERSION),
        'trainer_state.json': formatTrainerState(figures, this.#state, entry),
        'loss.svg': plotLosses(figures.entries, `${basename(options.out)} on ${base.name}`),
      }),
    );
    return summary;
  }
}
