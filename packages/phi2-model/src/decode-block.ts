import type { AdaptedLinear, Tensor } from '@qlorajs/compute';
import { isDora } from '@qlorajs/lora';
import { type Pass, rowsOf } from './pass.js';
import { loraOf } from './projection.js';
import type { BlockLinear } from './tensors.js';

/** The layer with its adapter; undefined where that is more than an update of low rank. */
function adaptedLinear(pass: Pass, layer: number, linear: BlockLinear): AdaptedLinear | undefined {
  const frozen = pass.weights.blocks[layer].linears[linear];
  const lora = loraOf(pass.adapter, layer, linear);
  if (!lora) return { ...frozen, update: null };
  if (isDora(lora)) return undefined;
  const { a, b, rank, scaling } = lora;
  return { ...frozen, update: { a: a.value, b: b.value, rank, scaling } };
}

/**
 * A block of a pass that has a single row and a cache, in one go where the backend can.
 * @returns false where it has to be computed from operations
 */
export function decodeBlock(pass: Pass, layer: number, h: Tensor, out: Tensor): boolean {
  const { backend, config, weights, rotary, caches, slots } = pass;
  if (!backend.decoding || !caches || !slots || rowsOf(pass) !== 1) return false;
  const of = (linear: BlockLinear) => adaptedLinear(pass, layer, linear);
  const [q, k, v] = [of('self_attn.q_proj'), of('self_attn.k_proj'), of('self_attn.v_proj')];
  const [dense, fc1, fc2] = [of('self_attn.dense'), of('mlp.fc1'), of('mlp.fc2')];
  if (!q || !k || !v || !dense || !fc1 || !fc2) return false;
  const { heads, headDim, rotaryDim, layerNormEpsilon: epsilon } = config;
  const { k: keys, v: values } = caches[0].layers[layer];
  return backend.decoding.block({
    ...{ h, out, q, k, v, dense, fc1, fc2, norm: weights.blocks[layer].norm, epsilon },
    ...{ heads, headDim, rotaryDim, ...rotary, position: slots, keys, values },
  });
}
