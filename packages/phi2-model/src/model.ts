import { type Backend, byteLengthOf, type Tensor, weightTensors } from '@qlorajs/compute';
import {
  dropsHeadBias,
  type LoraAdapter,
  type SavableModule,
  type TargetShape,
} from '@qlorajs/lora';
import type { TensorSource } from '@qlorajs/safetensors';
import { type AdapterView, checkMixed } from './adapter-view.js';
import {
  checkBatch,
  type LabelledBatch,
  positionsOf,
  type TokenBatch,
  trainedPositions,
} from './batch.js';
import { blockActivations, blockForward } from './block.js';
import { blockBackward } from './block-backward.js';
import type { PhiConfig } from './config.js';
import { DoraNorms, linearWeight, weightRowNorms } from './dora-norms.js';
import { type LoadOptions, type LoadReport, loadWeights } from './load.js';
import { lossHead } from './loss-head.js';
import { addNeftuneNoise } from './neftune.js';
import {
  type AdapterRun,
  type KeyValueCache,
  type Pass,
  rowsOf,
  runsOf,
  someRows,
} from './pass.js';
import { replayed } from './replay.js';
import { createRotaryTable, type RotaryTable } from './rotary-table.js';
import { phiSavableModules, trainedWeights } from './saved-modules.js';
import { phiModules } from './tensors.js';
import { TokenRows } from './token-rows.js';
import { allTensors, freeWeights, type PhiWeights } from './weights.js';
import { Workspace } from './workspace.js';

/** The sum of a batch's losses, in nats, and how many tokens it is over. */
export interface BatchLoss {
  readonly lossSum: number;
  readonly tokens: number;
}

/** How one micro-batch is learnt from. */
export interface TrainOptions {
  /** Gradients are divided by this: the trained tokens of the whole optimizer step. */
  readonly normalizer: number;
  /** Of this micro-batch's dropout masks; null trains without dropout. */
  readonly dropoutSeed: number | null;
  /** Keep only every block's input and run the block again in the backward (default true). */
  readonly gradientCheckpointing?: boolean;
  /** NEFTune's alpha (https://arxiv.org/abs/2310.05914); 0, the default: no noise. Needs `dropoutSeed`. */
  readonly neftuneNoiseAlpha?: number;
}

/** What differs between a plain pass and one on a cache. */
interface PassExtras {
  readonly keyLengths: Int32Array;
  readonly positions: Int32Array;
  readonly queryStart?: Int32Array;
  readonly firstKeys?: Int32Array;
  readonly caches?: readonly KeyValueCache[];
  readonly slots?: Int32Array;
  readonly dropoutSeed?: number | null;
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
  #adapter: LoraAdapter | null = null;
  readonly #tokenRows: TokenRows;
  readonly #views = new Map<LoraAdapter, AdapterView>();

  /** @internal Use {@link loadPhi}. */
  constructor(backend: Backend, config: PhiConfig, weights: PhiWeights, report: LoadReport) {
    this.config = config;
    this.backend = backend;
    this.weights = weights;
    this.report = report;
    this.rotary = createRotaryTable(backend, config);
    this.workspace = new Workspace(backend);
    this.#tokenRows = new TokenRows(backend, weights, config.hiddenSize);
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
    this.#tokenRows.show(adapter);
    // Whoever attaches an adapter may have written into it.
    if (adapter) this.#views.get(adapter)?.norms?.expire();
  }

  /** Frees what the model keeps for an adapter; call it before the adapter is disposed. */
  release(adapter: LoraAdapter): void {
    this.#tokenRows.release(adapter);
    this.#views.get(adapter)?.norms?.dispose();
    this.#views.delete(adapter);
    if (this.#adapter === adapter) this.#adapter = null;
  }

  /** @internal The shared state of one pass. */
  beginPass(batch: number, length: number, extras: PassExtras): Pass {
    const { workspace } = this;
    const optional = (name: string, values?: Int32Array) =>
      values ? workspace.integers(name, values) : null;
    const whole = [{ adapter: this.#adapter, start: 0, count: batch * length }];
    const runs = extras.runs ?? whole;
    const adapter = runs.length === 1 ? runs[0].adapter : null;
    this.#tokenRows.show(adapter);
    if (runs.length > 1) checkMixed(runs);
    const view = adapter && this.#viewOf(adapter);
    view?.norms?.refresh();
    return {
      backend: this.backend,
      config: this.config,
      weights: view?.weights ?? this.weights,
      rotary: this.rotary,
      adapter,
      runs,
      doraNorms: view?.norms ?? null,
      headBias: this.#headBias(adapter),
      workspace,
      batch,
      length,
      positions: workspace.integers('positions', extras.positions),
      keyLengths: workspace.integers('keyLengths', extras.keyLengths),
      queryStart: optional('queryStart', extras.queryStart),
      firstKeys: optional('firstKeys', extras.firstKeys),
      dropoutSeed: extras.dropoutSeed ?? null,
      caches: extras.caches ?? null,
      slots: optional('cache.slots', extras.slots),
    };
  }

  #headBias(adapter: LoraAdapter | null): Tensor | null {
    if (adapter === null) return this.weights.head.bias;
    return dropsHeadBias(adapter.config) ? null : this.#viewOf(adapter).weights.head.bias;
  }

  /** What the model looks like with an adapter: its whole modules, and the norms of DoRA. */
  #viewOf(adapter: LoraAdapter): AdapterView {
    const known = this.#views.get(adapter);
    if (known) return known;
    const norms = adapter.config.useDora
      ? new DoraNorms(this.workspace, this.weights, adapter)
      : null;
    const view = { weights: trainedWeights(this.weights, adapter), norms };
    this.#views.set(adapter, view);
    return view;
  }

  #beginBatch(
    batch: TokenBatch,
    dropoutSeed: number | null = null,
    adapters?: readonly (LoraAdapter | null)[],
  ): Pass {
    checkBatch(this.config, batch);
    return this.beginPass(batch.batchSize, batch.length, {
      keyLengths: batch.lengths,
      positions: positionsOf(batch),
      firstKeys: batch.firstKeys,
      dropoutSeed,
      runs: adapters && runsOf(adapters, batch.length),
    });
  }

  /** @internal `[n, C]` rows of the embedding. */
  embed(pass: Pass, inputIds: Int32Array): Tensor {
    const { workspace, config } = this;
    const out = workspace.get('hidden.0', [rowsOf(pass), config.hiddenSize]);
    const ids = workspace.integers('inputIds', inputIds);
    const source = pass.weights.embedding;
    for (const { adapter, start, count } of pass.runs) {
      this.#tokenRows.show(adapter);
      this.backend.ops.gatherRows({
        source,
        ids: someRows(pass, ids, start, count),
        out: someRows(pass, out, start, count),
        width: config.hiddenSize,
      });
    }
    return out;
  }

  /** @internal All blocks, on two alternating buffers; returns the last hidden state `[n, C]`. */
  runBlocks(pass: Pass, embedded: Tensor): Tensor {
    const { layers } = this.config;
    const hidden = [embedded, this.workspace.get('hidden.1', embedded.shape)];
    replayed(pass, `blocks from ${embedded.offset}`, () => {
      for (let layer = 0; layer < layers; layer++)
        blockForward(
          pass,
          layer,
          hidden[layer % 2],
          hidden[1 - (layer % 2)],
          blockActivations(pass, 'block'),
        );
    });
    return hidden[layers % 2];
  }

  /** @internal Final norm and head of the given rows, in ascending order: `[m, V]` on the device. */
  headLogits(pass: Pass, h: Tensor, rows: Int32Array): Tensor {
    const { backend, workspace, config } = this;
    const width = config.hiddenSize;
    const shape = [rows.length, width];
    const ids = workspace.integers('logits.rows', rows);
    const x = workspace.get('logits.hidden', shape);
    const out = workspace.get('logits.normed', shape);
    const mean = workspace.get('logits.mean', [rows.length]);
    const rstd = workspace.get('logits.rstd', [rows.length]);
    backend.ops.gatherRows({ source: h, ids, out: x, width });
    const epsilon = config.layerNormEpsilon;
    backend.ops.layerNorm({ x, ...pass.weights.finalNorm, epsilon, out, mean, rstd });
    const logits = workspace.get('logits.out', [rows.length, config.vocabSize]);
    const { weight } = pass.weights.head;
    for (const { adapter, start, count } of pass.runs) {
      const first = rows.findIndex((row) => row >= start);
      const some = rows.filter((row) => row >= start && row < start + count).length;
      if (some === 0) continue;
      this.#tokenRows.show(adapter);
      backend.ops.linear({
        x: backend.view(out, first * width, [some, width]),
        weight,
        bias: this.#headBias(adapter),
        out: backend.view(logits, first * config.vocabSize, [some, config.vocabSize]),
        accumulate: false,
      });
    }
    return logits;
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
    const h = this.runBlocks(pass, this.embed(pass, batch.inputIds));
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
      const out = workspace.get(`hidden.${1 - (layer % 2)}`, h.shape);
      blockForward(pass, layer, h, out, blockActivations(pass, 'block'));
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
    return { lossSum: await lossHead(pass, h, rows, labels, null), tokens: rows.length };
  }

  /**
   * Forward and backward of one micro-batch; the adapter's gradients accumulate.
   * Gradient checkpointing (https://arxiv.org/abs/1604.06174) trades one more forward of every block
   * for keeping a single block's activations.
   */
  async forwardBackward(batch: LabelledBatch, options: TrainOptions): Promise<BatchLoss> {
    const { config, workspace } = this;
    const checkpointing = options.gradientCheckpointing ?? true;
    const norms = this.#adapter && this.#viewOf(this.#adapter).norms;
    norms?.expire(); // the optimizer may have stepped since
    const pass = this.#beginBatch(batch, options.dropoutSeed);
    const { rows, labels } = trainedPositions(batch);
    const shape = [rowsOf(pass), config.hiddenSize];
    const activations = (layer: number) =>
      blockActivations(pass, checkpointing ? 'block' : `block.${layer}`);
    const inputs: Tensor[] = [this.embed(pass, batch.inputIds)];
    addNeftuneNoise(pass, inputs[0], options.neftuneNoiseAlpha ?? 0);
    for (let layer = 0; layer < config.layers; layer++)
      inputs.push(workspace.get(`hidden.${layer + 1}`, shape));
    const kept = checkpointing ? 'kept inputs' : 'kept activations';
    replayed(pass, `forward, ${kept}`, () => {
      for (let layer = 0; layer < config.layers; layer++)
        blockForward(pass, layer, inputs[layer], inputs[layer + 1], activations(layer));
    });
    const dh = workspace.get('dHidden', shape);
    const scale = 1 / options.normalizer;
    // Read at the end: the device goes on while the loss travels.
    const lossSum = lossHead(pass, inputs[config.layers], rows, labels, { scale, dh });
    lossSum.catch(() => {}); // told where it is awaited, unless the backward fails first
    replayed(pass, `backward, ${kept}`, () => {
      for (let layer = config.layers - 1; layer >= 0; layer--) {
        // The last block's activations are still there: only earlier ones are computed again.
        if (checkpointing && layer < config.layers - 1)
          blockForward(pass, layer, inputs[layer], null, activations(layer));
        blockBackward(pass, layer, inputs[layer], dh, activations(layer));
      }
    });
    this.#embeddingBackward(pass, batch.inputIds, dh);
    norms?.expire();
    return { lossSum: await lossSum, tokens: rows.length };
  }

  #embeddingBackward(pass: Pass, inputIds: Int32Array, dh: Tensor): void {
    const width = this.config.hiddenSize;
    const whole = this.#adapter?.modules.get('model.embed_tokens');
    if (whole) {
      const ids = this.workspace.integers('embedding.ids', inputIds);
      pass.backend.ops.scatterAddRows({ source: dh, ids, out: whole.weight.grad, width });
    }
    const trained = this.#adapter?.tokens.get('embed_tokens');
    if (!trained) return;
    const slot = new Map(trained.ids.map((id, i) => [id, i]));
    const ids = this.workspace.integers(
      'embedding.slots',
      inputIds.map((id) => slot.get(id) ?? -1),
    );
    pass.backend.ops.scatterAddRows({ source: dh, ids, out: trained.rows.grad, width });
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
    this.#tokenRows.dispose();
    this.workspace.dispose();
    freeWeights(this.backend, this.weights);
    this.backend.free(this.rotary.cos);
    this.backend.free(this.rotary.sin);
  }
}

/**
 * Loads a Phi checkpoint onto a backend.
 * @throws QLoraError `PHI_TENSORS` when the weights do not fit the config
 */
export async function loadPhi(
  backend: Backend,
  config: PhiConfig,
  source: TensorSource,
  options: LoadOptions,
): Promise<PhiModel> {
  const { weights, report } = await loadWeights(backend, config, source, options);
  return new PhiModel(backend, config, weights, report);
}
