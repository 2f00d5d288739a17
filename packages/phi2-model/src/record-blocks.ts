import type { Tensor } from '@qlorajs/compute';
import { blockActivations, blockForward } from './block.js';
import { decodeBlock } from './decode-block.js';
import type { Pass } from './pass.js';

/**
 * All blocks of weights that are on the device, on two alternating buffers; a single row in one go where
 * the backend can.
 * @returns the last hidden state, `[n, C]`
 */
export function recordBlocks(pass: Pass, embedded: Tensor): Tensor {
  const { layers } = pass.config;
  let [from, out] = [embedded, pass.workspace.get('hidden.1', embedded.shape)];
  for (let layer = 0; layer < layers; layer++) {
    if (!decodeBlock(pass, layer, from, out))
      blockForward(pass, layer, from, out, blockActivations(pass));
    [from, out] = [out, from];
  }
  return from;
}
