import type { AttentionMask, Tensor } from '@qlorajs/compute';
import { type Pass, someRows } from './pass.js';

/** The geometry of a pass's attention over its own keys. */
export function attentionMask(pass: Pass): AttentionMask {
  const { config, batch, length, keyLengths, queryStart, firstKeys } = pass;
  return {
    batch,
    queryLength: length,
    keyLength: length,
    heads: config.heads,
    headDim: config.headDim,
    scale: 1 / Math.sqrt(config.headDim),
    keyLengths,
    queryStart,
    firstKeys,
  };
}

/** Queries, keys and values of a pass, f32 `[B * T, C]`, and where the result goes. */
export interface AttentionTensors {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly out: Tensor;
  /** `[B, H, T]` */
  readonly logSumExp: Tensor;
}

/**
 * Attention over the pass's own keys, or, with caches, over all that each row's sequence has read:
 * its new keys and values are put there first. A sequence's cache is its own memory, so that rows
 * can join and leave a batch without moving anything.
 */
export function attend(pass: Pass, layer: number, tensors: AttentionTensors): void {
  const { backend, config, batch, length, caches, slots, keyLengths, queryStart } = pass;
  const mask = attentionMask(pass);
  if (!caches || !slots || !queryStart) {
    backend.ops.attention({ ...mask, ...tensors });
    return;
  }
  const width = config.hiddenSize;
  caches.forEach(({ capacity, layers }, b) => {
    const { k, v } = layers[layer];
    const rows = (tensor: Tensor) => someRows(pass, tensor, b * length, length);
    const ids = rows(slots);
    backend.ops.scatterRows({ source: rows(tensors.k), ids, out: k, width });
    backend.ops.scatterRows({ source: rows(tensors.v), ids, out: v, width });
    const one = (tensor: Tensor) => (batch === 1 ? tensor : backend.view(tensor, b, [1]));
    backend.ops.attention({
      ...mask,
      ...{ batch: 1, keyLength: capacity, k, v },
      keyLengths: one(keyLengths),
      queryStart: one(queryStart),
      q: rows(tensors.q),
      out: rows(tensors.out),
      logSumExp: rows(tensors.logSumExp),
    });
  });
}
