import { type Backend, byteLengthOf, Readback, type Tensor, weightTensors } from '@qlorajs/compute';
import type { LoraAdapter, SavableModule, TargetShape } from '@qlorajs/lora';
import type { Pager } from '@qlorajs/paged-optim';
import { AdapterViews, checkMixed } from './adapter-view.js';
import {
  checkBatch,
  type LabelledBatch,
  positionsOf,
  type TokenBatch,
  trainedPositions,
} from './batch.js';
import { blockActivations, blockForward } from './block.js';
import { type BlockInputs, InputPages, inputsInWorkspace } from './block-inputs.js';
import type { BlockPages } from './block-pages.js';
import type { PhiConfig } from './config.js';
import { linearWeight, weightRowNorms } from './dora-norms.js';
import { headLogits } from './head-logits.js';
import type { LoadReport } from './load.js';
import { lossHead } from './loss-head.js';
import { after, type MaybePromise } from './maybe-promise.js';
import { addNeftuneNoise } from './neftune.js';
import {
  type AdapterRun,
  type KeyValueCache,
  type Pass,
  rowsOf,
  runsOf,
  someRows,
} from './pass.js';
import { recordBlocks } from './record-blocks.js';
import { replayed } from './replay.js';
import { createRotaryTable, type RotaryTable } from './rotary-table.js';
import { phiSavableModules } from './saved-modules.js';
import { phiModules } from './tensors.js';
import {
  type BatchLoss,
  type PagedPass,
  type PendingLoss,
  pagedPass,
  straightPass,
  type TrainOptions,
} from './training-pass.js';
import { allTensors, outerTensors, type PhiWeights } from './weights.js';
import { Workspace } from './workspace.js';

/** On the host, or on the device already. */
type Integers = Int32Array | Tensor;

/** What differs between a plain pass and one on a cache. */
interface PassExtras {
  readonly keyLengths: Integers;
  readonly positions: Integers;
  readonly queryStart?: Integers;
  readonly firstKeys?: Integers;
  readonly caches?: readonly KeyValueCache[];
  readonly slots?: Integers;
  readonly dropoutSeed?: number | null;
  readonly firstToken?: number;
  /** Default: the attached adapter for all rows. */
  readonly runs?: readonly AdapterRun[];
}

/**
 * A Phi model resident on a backend. One adapter can be attached for every pass that names none;
 * decoders can have adapters of their own.
 */
export class PhiModel {
  readonly config: PhiConfig;
  readonly backend: Backend;
  readonly weights: PhiWeights;
  readonly report: LoadReport;
  readonly rotary: RotaryTable;
  readonly workspace: Workspace;
  /** Losses that are read at once. */
  readonly #losses: Readback;
  #adapter: LoraAdapter | null = null;
  readonly #views: AdapterViews;
  readonly #pages: BlockPages | null;
  #inputPages: InputPages | null = null;

  /** @internal Use {@link loadPhi}. */
  constructor(
    backend: Backend,
    config: PhiConfig,
    weights: PhiWeights,
    report: LoadReport,
    pages: BlockPages | null = null,
  ) {
    this.config = config;
    this.backend = backend;
    this.weights = weights;
    this.report = report;
    this.#pages = pages;
    this.rotary = createRotaryTable(backend, config);
    this.workspace = new Workspace(backend);
    this.#losses = new Readback(backend, 'losses');
    this.#views = new AdapterViews(this.workspace, weights, config.hiddenSize);
  }

  /** The linear layers that an adapter can target. */
  get modules(): TargetShape[] {
    return phiModules(this.config);
  }

  /** The modules that an adapter may train whole. */
  get savable(): SavableModule[] {
    return phiSavableModules(this.config);
  }

  get adapter(): LoraAdapter | null {
    return this.#adapter;
  }

  /** @internal Whether blocks come and go, so that a pass has to wait for them. */
  get isPaged(): boolean {
    return this.#pages !== null;
  }

  /** Bytes of the frozen weights on the device. */
  get weightBytes(): number {
    return allTensors(this.weights).reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  }

  /** Bytes of the blocks' quantized linear weights on the device, scales included. */
  get quantizedBytes(): number {
    return this.weights.blocks
      .flatMap((block) => Object.values(block.linears))
      .filter(({ weight }) => weight.kind === 'nf4')
      .flatMap(({ weight }) => weightTensors(weight))
      .reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  }

  /** Makes every pass run with this adapter, or with the base alone; the adapter stays its owner's. */
  attach(adapter: LoraAdapter | null): void {
    if (this.#adapter && this.#adapter !== adapter) this.release(this.#adapter);
    this.#adapter = adapter;
    this.#views.show(adapter);
    // Whoever attaches an adapter may have written into it.
    this.#views.expire(adapter);
  }

  /** Frees what the model keeps for an adapter; call it before the adapter is disposed. */
  release(adapter: LoraAdapter): void {
    this.#views.release(adapter);
    if (this.#adapter === adapter) this.#adapter = null;
  }

  /** @internal The shared state of one pass. */
  beginPass(batch: number, length: number, extras: PassExtras): Pass {
    const { workspace } = this;
    const integers = (name: string, values: Integers) =>
      values instanceof Int32Array ? workspace.integers(name, values) : values;
    const optional = (name: string, values?: Integers) => (values ? integers(name, values) : null);
    const whole = [{ adapter: this.#adapter, start: 0, count: batch * length }];
    const runs = extras.runs ?? whole;
    const adapter = runs.length === 1 ? runs[0].adapter : null;
    this.#views.show(adapter);
    if (runs.length > 1) checkMixed(runs);
    const view = adapter && this.#views.of(adapter);
    view?.norms?.refresh();
    return {
      backend: this.backend,
      config: this.config,
      weights: view?.weights ?? this.weights,
      rotary: this.rotary,
      adapter,
      runs,
      doraNorms: view?.norms ?? null,
      headBias: this.#views.headBias(adapter),
      workspace,
      batch,
      length,
      positions: integers('positions', extras.positions),
      keyLengths: integers('keyLengths', extras.keyLengths),
      queryStart: optional('queryStart', extras.queryStart),
      firstKeys: optional('firstKeys', extras.firstKeys),
      dropoutSeed: extras.dropoutSeed ?? null,
      firstToken: extras.firstToken ?? 0,
      caches: extras.caches ?? null,
      slots: optional('cache.slots', extras.slots),
    };
  }

  #beginBatch(
    batch: TokenBatch,
    dropoutSeed: number | null = null,
    adapters?: readonly (LoraAdapter | null)[],
    firstToken = 0,
  ): Pass {
    checkBatch(this.config, batch);
    return this.beginPass(batch.batchSize, batch.length, {
      keyLengths: batch.lengths,
      positions: positionsOf(batch),
      firstKeys: batch.firstKeys,
      dropoutSeed,
      firstToken,
      runs: adapters && runsOf(adapters, batch.length),
    });
  }

  /** @internal `[n, C]` rows of the embedding. */
  embed(pass: Pass, inputIds: Integers): Tensor {
    const { workspace, config } = this;
    const out = workspace.get('hidden.0', [rowsOf(pass), config.hiddenSize]);
    const ids =
      inputIds instanceof Int32Array ? workspace.integers('inputIds', inputIds) : inputIds;
    const source = pass.weights.embedding;
    for (const { adapter, start, count } of pass.runs) {
      if (pass.runs.length > 1) this.#views.show(adapter);
      this.backend.ops.gatherRows({
        source,
        ids: someRows(pass, ids, start, count),
        out: someRows(pass, out, start, count),
        width: config.hiddenSize,
      });
    }
    return out;
  }

  /**
   * @internal All blocks, on two alternating buffers; gives the last hidden state `[n, C]`. A promise only
   * where blocks are paged: a pass is otherwise recorded in one go.
   */
  runBlocks(pass: Pass, embedded: Tensor): MaybePromise<Tensor> {
    const { layers } = this.config;
    const hidden = [embedded, this.workspace.get('hidden.1', embedded.shape)];
    const last = hidden[layers % 2];
    if (!this.#pages) {
      replayed(pass, `blocks from ${embedded.offset}`, () => recordBlocks(pass, embedded));
      return last;
    }
    const block = (layer: number) => {
      const [from, out] = [hidden[layer % 2], hidden[1 - (layer % 2)]];
      blockForward(pass, layer, from, out, blockActivations(pass));
    };
    return this.#pages.each(layers, block).then(() => last);
  }

  /** @internal Final norm and head of the given rows, in ascending order: `[m, V]` on the device. */
  headLogits(pass: Pass, h: Tensor, rows: Int32Array): Tensor {
    return headLogits(pass, h, rows, this.#views);
  }

  /**
   * Logits of every position, without dropout.
   * @param adapters of each batch row, null being the base; default: the attached one for all
   * @returns f32 `[B, T, V]`; positions past a row's length are computed as transformers does, from
   * the row's real tokens
   */
  async logits(
    batch: TokenBatch,
    adapters?: readonly (LoraAdapter | null)[],
  ): Promise<Float32Array> {
    const pass = this.#beginBatch(batch, null, adapters);
    const h = await this.runBlocks(pass, this.embed(pass, batch.inputIds));
    const { vocabSize } = this.config;
    const rows = rowsOf(pass);
    const result = new Float32Array(rows * vocabSize);
    const chunk = 64;
    for (let start = 0; start < rows; start += chunk) {
      const ids = Int32Array.from({ length: Math.min(chunk, rows - start) }, (_, i) => start + i);
      const logits = await this.backend.read(this.headLogits(pass, h, ids));
      result.set(logits, start * vocabSize);
    }
    return result;
  }

  /**
   * The residual stream: embeddings, the output of every block but the last, and the final norm's
   * output, as transformers' `output_hidden_states`.
   * @returns `layers + 1` arrays f32 `[B, T, C]`
   */
  async hiddenStates(batch: TokenBatch): Promise<Float32Array[]> {
    const { backend, config, workspace } = this;
    const pass = this.#beginBatch(batch);
    let h = this.embed(pass, batch.inputIds);
    const states = [await backend.read(h)];
    for (let layer = 0; layer < config.layers; layer++) {
      const [from, out] = [h, workspace.get(`hidden.${1 - (layer % 2)}`, h.shape)];
      const run = () => blockForward(pass, layer, from, out, blockActivations(pass));
      await (this.#pages ? this.#pages.on(layer, 1, run) : run());
      h = out;
      if (layer < config.layers - 1) states.push(await backend.read(h));
    }
    const out = workspace.get('block.normed', h.shape);
    const [mean, rstd] = ['mean', 'rstd'].map((n) => workspace.get(`block.${n}`, [rowsOf(pass)]));
    const epsilon = config.layerNormEpsilon;
    backend.ops.layerNorm({ x: h, ...pass.weights.finalNorm, epsilon, out, mean, rstd });
    states.push(await backend.read(out));
    return states;
  }

  /** The loss of a batch, without dropout and without gradients. */
  async evaluate(batch: LabelledBatch): Promise<BatchLoss> {
    const pass = this.#beginBatch(batch);
    const { rows, labels } = trainedPositions(batch);
    const h = this.runBlocks(pass, this.embed(pass, batch.inputIds));
    return this.#read(() =>
      after(h, (last) => ({
        lossSum: lossHead(pass, last, rows, labels, null, this.#losses),
        tokens: rows.length,
      })),
    );
  }

  /**
   * Forward and backward of one micro-batch; the adapter's gradients accumulate.
   * Gradient checkpointing (https://arxiv.org/abs/1604.06174) trades one more forward of every block
   * for keeping a single block's activations.
   * @returns with a `readback`, as soon as the work is recorded: the loss comes with the flush of that
   */
  forwardBackward(
    batch: LabelledBatch,
    options: TrainOptions & { readonly readback: Readback },
  ): Promise<PendingLoss>;
  forwardBackward(batch: LabelledBatch, options: TrainOptions): Promise<BatchLoss>;
  async forwardBackward(
    batch: LabelledBatch,
    options: TrainOptions & { readonly readback?: Readback },
  ): Promise<PendingLoss | BatchLoss> {
    const { readback } = options;
    if (readback) return this.#accumulate(batch, options, readback);
    return this.#read(() => this.#accumulate(batch, options, this.#losses));
  }

  /** Reads the one loss that `work` leaves on the device. */
  async #read(work: () => MaybePromise<PendingLoss>): Promise<BatchLoss> {
    const { lossSum, tokens } = await work();
    await this.#losses.flush();
    return { lossSum: await lossSum, tokens };
  }

  async #accumulate(
    batch: LabelledBatch,
    options: TrainOptions,
    readback: Readback,
  ): Promise<PendingLoss> {
    const { dropoutSeed, firstToken, inputPager, normalizer } = options;
    this.#views.expire(this.#adapter); // the optimizer may have stepped since
    const pass = this.#beginBatch(batch, dropoutSeed, undefined, firstToken);
    const shape = [rowsOf(pass), this.config.hiddenSize];
    const embedded = this.embed(pass, batch.inputIds);
    addNeftuneNoise(pass, embedded, options.neftuneNoiseAlpha ?? 0);
    const dh = this.workspace.get('dHidden', shape);
    const { gradientCheckpointing: checkpointing = true } = options;
    const args = { pass, batch, embedded, dh, checkpointing, normalizer, readback };
    const inputs = this.#inputs(shape, inputPager);
    try {
      if (!this.#pages && !inputPager) return straightPass(args);
      const onBlock: PagedPass['onBlock'] = async (layer, direction, work) =>
        this.#pages ? this.#pages.on(layer, direction, work) : work();
      return await pagedPass({ ...args, inputs, onBlock });
    } finally {
      inputs.end();
      this.#views.expire(this.#adapter);
    }
  }

  #inputs(shape: readonly number[], pager: Pager | undefined): BlockInputs {
    const { workspace, config } = this;
    if (this.#inputPages?.pager !== pager) {
      this.#inputPages?.dispose();
      this.#inputPages = pager ? new InputPages(this.backend, pager) : null;
    }
    const paged = this.#inputPages?.inputs(workspace, shape, config.layers);
    return paged ?? inputsInWorkspace(workspace, shape);
  }

  /**
   * The 2-norms of the rows of linear layers' weights as the device holds them: where the magnitudes of
   * a new DoRA adapter start.
   * @param names of layers, as in `modules`
   */
  async rowNorms(names: readonly string[]): Promise<Map<string, Float32Array>> {
    const norms = new Map<string, Float32Array>();
    for (const name of names)
      norms.set(name, await weightRowNorms(this.workspace, linearWeight(this.weights, name)));
    return norms;
  }

  /** Frees weights and buffers; an attached adapter is detached, not freed. */
  dispose(): void {
    this.attach(null);
    this.#views.dispose();
    this.workspace.dispose();
    this.#losses.dispose();
    this.#inputPages?.dispose();
    this.#pages?.dispose();
    for (const tensor of this.#pages ? outerTensors(this.weights) : allTensors(this.weights))
      this.backend.free(tensor);
    this.backend.free(this.rotary.cos);
    this.backend.free(this.rotary.sin);
  }
}
