import { sizeOf } from '@qlorajs/compute';
import type { LoraAdapter } from '@qlorajs/lora';
import { createAdamW, type Optimizer } from '@qlorajs/paged-optim';
import { phiTensors } from '@qlorajs/phi2-model';
import {
  adapterFiles,
  addedIds,
  answer,
  BestAdapter,
  type CheckpointState,
  checkpointFiles,
  createPagers,
  endsWithBest,
  formatRunState,
  formatTrainerState,
  generationOptions,
  History,
  loopOptions,
  loraConfig,
  modelCard,
  type Notices,
  optimizerOptions,
  type PreparedData,
  planRun,
  plotLosses,
  type RunPlan,
  readCheckpoint,
  type StateOptions,
  startAdapter,
  stateOptions,
  systemMessage,
  tokensOf,
  trainable,
  type Voice,
  withDefaults,
} from '@qlorajs/session';
import {
  type EvaluationEvent,
  INITIAL_STATE,
  type LoopState,
  type TrainResult,
  train,
} from '@qlorajs/trainer';
import type { EngineEvent, RunInfo, RunStatus } from '../protocol.js';
import type { Bench } from './bench.js';
import { prepareBatches, type ReadData } from './dataset.js';
import type { RunStore, RunTrace, StoredRun } from './run-store.js';

const VERSION = '0.1.0';
const SAMPLE_TOKENS = 48;
/** Steps whose mean tells how long the rest takes. */
const RECENT = 20;

/** What a run in the worker has at hand. */
interface Parts {
  readonly bench: Bench;
  readonly store: RunStore;
  readonly data: ReadData;
  readonly send: (event: EngineEvent) => void;
  readonly notices: Notices;
}

/** One run of the loop, with its checkpoints in the browser's storage. */
export class TrainingRun {
  readonly #parts: Parts;
  #info: StoredRun;
  #trace: { -readonly [K in keyof RunTrace]: RunTrace[K] };
  readonly #stopping = new AbortController();
  #gate: { readonly open: Promise<void>; release(): void } | null = null;
  #voice: Voice | null = null;

  constructor(parts: Parts, info: StoredRun, trace: RunTrace) {
    this.#parts = parts;
    this.#info = info;
    this.#trace = { ...trace };
  }

  get info(): RunInfo {
    const { options: _, ...info } = this.#info;
    return info;
  }

  get isPaused(): boolean {
    return this.#gate !== null;
  }

  pause(): void {
    if (this.#gate) return;
    let release = () => {};
    const open = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#gate = { open, release };
  }

  resume(): void {
    this.#gate?.release();
    this.#gate = null;
  }

  cancel(): void {
    this.#stopping.abort();
    this.resume();
  }

  async #update(change: Partial<StoredRun>): Promise<void> {
    this.#info = { ...this.#info, ...change };
    this.#parts.send({ type: 'run', run: this.info });
    await this.#parts.store.writeInfo(this.#info);
  }

  /** Trains to the end, or until it is cancelled; what fails is told and leaves the last checkpoint. */
  async work(resumed: CheckpointState | null, resumedStep: number): Promise<RunStatus> {
    const { bench, data, store, notices } = this.#parts;
    const { base, model, weights } = bench.loaded;
    const { options } = this.#info;
    const { backend } = bench;
    const prepared = prepareBatches(bench, data, options);
    const config = loraConfig(options, base, addedIds(prepared), notices);
    const folder = resumed === null ? null : await store.checkpoint(resumedStep);
    const knownTokens = (prepared.tokenizer?.size ?? 0) - addedIds(prepared).length;
    const origin = { config, folder, base, weights, knownTokens, seed: options.seed };
    const adapter = await startAdapter(backend, origin, (names) => model.rowNorms(names), notices);
    model.attach(adapter);
    const pagers = createPagers(backend, options);
    const optimizer = createAdamW(backend, adapter.parameters(), {
      ...optimizerOptions(options),
      pager: pagers.states,
    });
    try {
      if (resumed !== null) await optimizer.load(resumed.optimizer);
      const loop = new Loop(
        this.#parts,
        this.#info,
        this.#trace,
        prepared,
        adapter,
        optimizer,
        resumed,
      );
      this.#voice = loop.voice;
      await this.#update({ status: 'running', totalSteps: loop.plan.totalSteps });
      const result = await this.#loop(loop, resumed?.state.loop ?? INITIAL_STATE);
      if (result.reason === 'aborted') {
        await this.#save(loop, result.state);
        await this.#update({ status: 'cancelled' });
        return 'cancelled';
      }
      await store.writeAdapter(await loop.finalFiles(result));
      await store.writeTrace(this.#trace);
      await this.#update({ status: 'done', step: result.state.step });
      return 'done';
    } finally {
      optimizer.dispose();
      model.release(adapter);
      adapter.dispose();
    }
  }

  async #save(loop: Loop, state: LoopState): Promise<void> {
    const { store } = this.#parts;
    if (state.step === 0) return;
    await store.writeTrace(this.#trace);
    await store.writeCheckpoint(state.step, await loop.checkpoint(state));
    await this.#update({ savedStep: state.step });
  }

  async #loop(loop: Loop, resume: LoopState): Promise<TrainResult> {
    const { bench, send } = this.#parts;
    const events = loop.start(resume, this.#stopping.signal);
    const seconds: number[] = [];
    let state = resume;
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
      const event = next.value;
      if (event.type === 'checkpoint') {
        state = event.state;
        await this.#save(loop, state);
      } else if (event.type === 'evaluation') {
        const entry = loop.history.evaluation(event);
        await loop.evaluated(event);
        this.#trace.evaluations = [...this.#trace.evaluations, entry];
        send({ type: 'evaluation', entry });
      } else {
        const record = loop.history.step(event);
        seconds.push(event.seconds);
        if (seconds.length > RECENT) seconds.shift();
        const mean = seconds.reduce((sum, each) => sum + each, 0) / seconds.length;
        this.#info = { ...this.#info, step: event.step };
        if (record) {
          this.#trace.records = [...this.#trace.records, record];
          const secondsLeft = mean * (event.totalSteps - event.step);
          send({ type: 'step', record, secondsLeft, run: this.info });
        }
        const { sampleSteps } = this.#info.options;
        if (sampleSteps > 0 && event.step % sampleSteps === 0) await this.#sample(event.step);
      }
      if (this.#gate) {
        await this.#update({ status: 'paused' });
        await this.#gate.open;
        bench.loaded.model.attach(loop.adapter);
        if (!this.#stopping.signal.aborted) await this.#update({ status: 'running' });
      }
    }
  }

  /** What the adapter says by now. */
  async #sample(step: number): Promise<void> {
    const { bench, send } = this.#parts;
    const voice = this.#voice!;
    const messages = [
      ...systemMessage(voice, undefined),
      { role: 'user', content: this.#info.options.samplePrompt },
    ];
    const settings = withDefaults(generationOptions, { maxNewTokens: SAMPLE_TOKENS });
    const said = await answer(bench.loaded.model, voice, tokensOf(voice, messages), settings);
    const sample = { step, text: said.answer };
    this.#trace.samples = [...this.#trace.samples, sample];
    send({ type: 'sample', sample });
  }
}

/** The loop of a run, and the files that it writes. */
class Loop {
  readonly history: History;
  readonly plan: RunPlan;
  readonly adapter: LoraAdapter;
  readonly #parts: Parts;
  readonly #run: StoredRun;
  readonly #trace: RunTrace;
  readonly #prepared: PreparedData;
  readonly #optimizer: Optimizer;
  readonly #best: BestAdapter;
  readonly #started = performance.now();

  constructor(
    parts: Parts,
    run: StoredRun,
    trace: RunTrace,
    prepared: PreparedData,
    adapter: LoraAdapter,
    optimizer: Optimizer,
    resumed: CheckpointState | null,
  ) {
    const { backend } = parts.bench;
    this.#parts = parts;
    this.#run = run;
    this.#trace = trace;
    this.#prepared = prepared;
    this.adapter = adapter;
    this.#optimizer = optimizer;
    this.#best = new BestAdapter(adapter, resumed?.best ?? null);
    this.plan = planRun(run.options, prepared.train.batchesPerEpoch);
    const memory = () => backend.memory().peak;
    this.history = new History(run.options.loggingSteps, memory, resumed?.figures);
  }

  /** The adapter as it answers samples. */
  get voice(): Voice {
    const { tokenizer, format, systemPrompt } = this.#prepared;
    return {
      ...{ name: this.#run.name, adapter: this.adapter, tokenizer: tokenizer!, format },
      systemPrompt: systemPrompt ?? undefined,
    };
  }

  start(resume: LoopState, signal: AbortSignal) {
    const { options } = this.#run;
    const { bench, notices } = this.#parts;
    const optimizer = this.#optimizer;
    const pagers = createPagers(bench.backend, options);
    const parts = { model: bench.loaded.model, options, pagers, optimizer };
    const model = trainable(parts, notices);
    const { train: source, evaluation } = this.#prepared;
    const { plan } = this;
    return train(
      loopOptions({ options, plan, model, optimizer, train: source, evaluation, resume, signal }),
    );
  }

  /** Keeps the adapter of the best evaluation, where the run ends with it. */
  async evaluated(event: EvaluationEvent): Promise<void> {
    if (event.best && endsWithBest(this.#run.options)) await this.#best.remember();
  }

  get #baseParameters(): number {
    const { config } = this.#parts.bench.loaded.base;
    return [...phiTensors(config).values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
  }

  get #adapterParameters(): number {
    return this.adapter.parameters().reduce((sum, { value }) => sum + value.size, 0);
  }

  get #state(): StateOptions {
    const parameters = this.#baseParameters + this.#adapterParameters;
    return stateOptions(this.#run.options, this.plan, parameters);
  }

  #files() {
    const { tokenizer, format, systemPrompt } = this.#prepared;
    const { base } = this.#parts.bench.loaded;
    return adapterFiles({ adapter: this.adapter, base, tokenizer, format, systemPrompt });
  }

  async checkpoint(loop: LoopState) {
    const { options, base } = this.#run;
    return checkpointFiles({
      step: loop.step,
      files: await this.#files(),
      optimizer: await this.#optimizer.state(),
      best: this.#best.bytes(),
      trainerState: formatTrainerState(this.history.figures, this.#state, {
        ...{ loop, bestFolder: null, summary: null },
      }),
      runState: formatRunState(options, loop, this.plan),
      args: { ...options, base, version: VERSION },
    });
  }

  /** The adapter folder, as the command writes it. */
  async finalFiles(result: TrainResult) {
    const { figures } = this.history;
    const { options } = this.#run;
    const { base } = this.#parts.bench.loaded;
    const { backend } = this.#parts.bench;
    if (endsWithBest(options)) this.#best.restore();
    const files = await this.#files();
    const losses = figures.entries.flatMap((entry) => ('loss' in entry ? [entry.loss] : []));
    const restored = endsWithBest(options) ? figures.best?.loss : undefined;
    const after = restored ?? this.#trace.evaluations.at(-1)?.eval_loss;
    const records = this.#trace.records;
    const speed = records.reduce((sum, each) => sum + each.tokens_per_second, 0) / records.length;
    const summary = {
      steps: figures.globalStep,
      epochs: figures.epoch,
      seconds: (performance.now() - this.#started) / 1000,
      tokens: figures.tokensSeen,
      tokensPerSecond: speed,
      trainLoss: result.meanLoss,
      skippedSteps: result.skippedSteps,
      firstLoss: losses[0] ?? Number.NaN,
      lastLoss: losses.at(-1) ?? Number.NaN,
      evaluation: after === undefined ? null : { before: null, after },
      examples: this.#prepared.examples,
      trainableParameters: this.#adapterParameters,
      allParameters: this.#baseParameters + this.#adapterParameters,
      adapterBytes: files['adapter_model.safetensors'].length,
      peakBackendBytes: backend.memory().peak,
      peakResidentBytes: null,
      backend: backend.name,
    };
    return {
      ...files,
      'README.md': modelCard(base, options, summary, `with qlorajs ${VERSION}`),
      'trainer_state.json': formatTrainerState(figures, this.#state, {
        ...{ loop: result.state, bestFolder: null, summary: null },
      }),
      'train_log.jsonl': records.map((each) => `${JSON.stringify(each)}\n`).join(''),
      'loss.svg': plotLosses(figures.entries, `${this.#run.name} on ${base.name}`),
    };
  }
}

/** The checkpoint that a run goes on from; null: from its beginning. */
export async function newestCheckpoint(
  store: RunStore,
): Promise<{ readonly step: number; readonly state: CheckpointState } | null> {
  const step = (await store.checkpointSteps()).at(-1);
  if (step === undefined) return null;
  return { step, state: await readCheckpoint(await store.checkpoint(step)) };
}
