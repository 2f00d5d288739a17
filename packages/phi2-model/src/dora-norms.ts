import type { LinearWeight, Tensor } from '@qlorajs/compute';
import { type DoraLinear, doraInverseNorms, isDora, type LoraAdapter } from '@qlorajs/lora';
import { BLOCK_LINEARS } from './tensors.js';
import type { PhiWeights } from './weights.js';
import type { Workspace } from './workspace.js';

/** The weight of a block's linear layer by its module name. */
export function linearWeight(weights: PhiWeights, name: string): LinearWeight {
  const linear = BLOCK_LINEARS.find((each) => name.endsWith(`.${each}`))!;
  return weights.blocks[Number(name.split('.')[2])].linears[linear].weight;
}

/** 0, 1, … on the device: the rows of a weight. */
function rowNumbers(workspace: Workspace, count: number): Tensor {
  return workspace.integers(
    'dora.rows',
    Int32Array.from({ length: count }, (_, i) => i),
  );
}

interface Norms {
  readonly layer: DoraLinear;
  readonly weight: LinearWeight;
  /** f32 `[out]` */
  readonly inverse: Tensor;
}

/** The norms that a DoRA adapter divides by: made again when its matrices may have changed. */
export class DoraNorms {
  readonly #workspace: Workspace;
  readonly #norms = new Map<string, Norms>();
  #isFresh = false;

  constructor(workspace: Workspace, weights: PhiWeights, adapter: LoraAdapter) {
    this.#workspace = workspace;
    for (const layer of [...adapter.layers.values()].filter(isDora)) {
      const weight = linearWeight(weights, layer.name);
      const inverse = adapter.backend.empty('f32', [weight.shape[0]], `${layer.name}.inverseNorms`);
      this.#norms.set(layer.name, { layer, weight, inverse });
    }
  }

  /** Makes the norms, unless they are those of the matrices as they are. */
  refresh(): void {
    if (this.#isFresh) return;
    const { backend } = this.#workspace;
    for (const { layer, weight, inverse } of this.#norms.values())
      doraInverseNorms(backend, layer, weight, {
        scratch: this.#workspace.get('dora.weight', weight.shape),
        rows: rowNumbers(this.#workspace, weight.shape[0]),
        out: inverse,
      });
    this.#isFresh = true;
  }

  /** The matrices may change. */
  expire(): void {
    this.#isFresh = false;
  }

  /** 1 / |W + s B A| of a layer, f32 `[out]`. */
  of(name: string): Tensor {
    return this.#norms.get(name)!.inverse;
  }

  dispose(): void {
    for (const { inverse } of this.#norms.values()) this.#workspace.backend.free(inverse);
    this.#norms.clear();
  }
}

/** The 2-norm of every row of a weight, f32 `[out]`. */
export async function weightRowNorms(
  workspace: Workspace,
  weight: LinearWeight,
): Promise<Float32Array> {
  const { backend } = workspace;
  const [rows, width] = weight.shape;
  const values = workspace.get('dora.weight', weight.shape);
  const out = workspace.get('dora.norms', [rows]);
  if (weight.kind === 'nf4') backend.ops.dequantizeNf4({ weight, out: values });
  else {
    const ids = rowNumbers(workspace, rows);
    backend.ops.gatherRows({ source: weight.values, ids, out: values, width });
  }
  backend.ops.inverseRowNorms({ x: values, out });
  return (await backend.read(out)).map((inverse) => (inverse === 0 ? 0 : 1 / inverse));
}
