import type { Tensor } from '@qlorajs/compute';
import type { LoraAdapter, SavableModule, SavedModule } from '@qlorajs/lora';
import type { PhiConfig } from './config.js';
import type { Pass } from './pass.js';
import { BLOCK_LINEARS, phiTensors } from './tensors.js';
import type { BlockWeights, FrozenLinear, FrozenNorm, PhiWeights } from './weights.js';

/** The modules that an adapter may train whole: embedding, head and every layer norm. */
export function phiSavableModules(config: PhiConfig): SavableModule[] {
  const modules = new Map<string, Record<string, readonly number[]>>();
  for (const [tensor, shape] of phiTensors(config)) {
    const dot = tensor.lastIndexOf('.');
    const name = tensor.slice(0, dot);
    if (BLOCK_LINEARS.some((linear) => name.endsWith(`.${linear}`))) continue;
    modules.set(name, { ...modules.get(name), [tensor.slice(dot + 1)]: shape });
  }
  return [...modules].map(([name, parameters]) => ({ name, parameters }));
}

/** The name of a block's layer norm. */
export function blockNorm(layer: number): string {
  return `model.layers.${layer}.input_layernorm`;
}

export const FINAL_NORM = 'model.final_layernorm';

/** The base's weights with the adapter's copies in the place of those that it trains whole. */
export function trainedWeights(weights: PhiWeights, adapter: LoraAdapter | null): PhiWeights {
  const modules = adapter?.modules;
  if (!modules || modules.size === 0) return weights;
  const norm = (name: string, frozen: FrozenNorm): FrozenNorm => {
    const saved = modules.get(name);
    return saved?.bias ? { weight: saved.weight.value, bias: saved.bias.value } : frozen;
  };
  const head = (frozen: FrozenLinear): FrozenLinear => {
    const saved = modules.get('lm_head');
    if (!saved?.bias) return frozen;
    const { shape } = frozen.weight;
    return {
      weight: { kind: 'dense', shape, values: saved.weight.value },
      bias: saved.bias.value,
    };
  };
  return {
    embedding: modules.get('model.embed_tokens')?.weight.value ?? weights.embedding,
    blocks: weights.blocks.map(
      (block, layer): BlockWeights => ({ ...block, norm: norm(blockNorm(layer), block.norm) }),
    ),
    finalNorm: norm(FINAL_NORM, weights.finalNorm),
    head: head(weights.head),
  };
}

/**
 * Gradients of a layer norm that is trained: dWeight += sum of dOut n, dBias += sum of dOut, with n the
 * normalized input. Nothing when it is frozen.
 */
export function normParametersBackward(
  pass: Pass,
  name: string,
  { x, dOut }: { readonly x: Tensor; readonly dOut: Tensor },
): void {
  const saved = pass.adapter?.modules.get(name);
  if (!saved?.bias) return;
  const { backend, config, workspace } = pass;
  const { ops } = backend;
  const width = config.hiddenSize;
  const rows = x.size / width;
  const get = (buffer: string, shape: readonly number[]) => workspace.get(`norm.${buffer}`, shape);
  const [ones, zeros] = [get('ones', [width]), get('zeros', [width])];
  ops.fill({ out: ones, value: 1 });
  ops.fill({ out: zeros, value: 0 });
  const out = get('normalized', x.shape);
  const statistics = { mean: get('mean', [rows]), rstd: get('rstd', [rows]) };
  const epsilon = config.layerNormEpsilon;
  ops.layerNorm({ x, weight: ones, bias: zeros, epsilon, out, ...statistics });
  ops.columnSums({ a: dOut, b: out, out: saved.weight.grad });
  ops.columnSums({ a: dOut, b: null, out: saved.bias.grad });
}

/** Gradients of a head that is trained, from a chunk of logits' gradients and the head's input. */
export function headParametersBackward(
  pass: Pass,
  { dLogits, x, rows }: { readonly dLogits: Tensor; readonly x: Tensor; readonly rows: number },
): void {
  const saved: SavedModule | undefined = pass.adapter?.modules.get('lm_head');
  if (!saved?.bias) return;
  const { vocabSize, hiddenSize } = pass.config;
  const { ops } = pass.backend;
  const shape = { m: vocabSize, n: hiddenSize, k: rows, transposeA: true, transposeB: false };
  ops.matmul({ a: dLogits, b: x, out: saved.weight.grad, ...shape, alpha: 1, beta: 1 });
  ops.columnSums({ a: dLogits, b: null, out: saved.bias.grad });
}
