import {
  checkDecodeBlock,
  type DecodeBlockArgs,
  type Decoding,
  type Tensor,
} from '@qlorajs/compute';
import { slice } from '../device/storage.js';
import type { Engine } from '../engine.js';
import type { HeldProduct } from '../ops/linear/held.js';
import { attendParts, partsOf, partsSize } from './attention.js';
import { ScalesOfBlocks } from './block-scales.js';
import { chooseToken } from './choose-token.js';
import { mergeAttention, mergedSize } from './merge.js';
import { normDown } from './norm-down.js';
import { project, projectFloats } from './project.js';
import { factorsOf, READERS, rankOf, suits } from './suits.js';
import { sumBranches, sumFloats } from './sum.js';

/** {@link Decoding} on an engine, and what is to be told when a tensor goes. */
export interface EngineDecoding extends Decoding {
  release(tensor: Tensor): void;
}

/** Parts of a head's attention whose statistics a workgroup has room for. */
const MOST_PARTS = 512;

/** Whether workgroups have the memory. */
function fits({ workgroupMemory }: Engine, args: DecodeBlockArgs): boolean {
  const floats = Math.max(projectFloats(args), sumFloats(args));
  return 4 * floats <= workgroupMemory && partsOf(args) <= MOST_PARTS;
}

/** Five dispatches, each of which needs what all of the one before has written. */
function decodeBlock(engine: Engine, kept: ScalesOfBlocks, args: DecodeBlockArgs): boolean {
  checkDecodeBlock(args);
  if (!suits(engine, args) || !fits(engine, args)) return false;
  const factors = factorsOf(args) ?? null;
  const { scratch } = engine;
  const width = args.h.size;
  const inner = args.fc1.weight.shape[0];
  const hidden = READERS.reduce((sum, name) => sum + rankOf(args, name), 0);
  const x = scratch.get('decoded row', 'f32', width + hidden);
  const projected = scratch.get('decoded projections', 'f32', 3 * width + inner);
  const parts = scratch.get('decoded attention', 'f32', partsSize(args));
  const attended = scratch.get('decoded heads', 'f32', mergedSize(args));
  const scales = kept.of(args);
  if (!scales) return false;
  const activated = slice(projected, 3 * width, inner);
  normDown(engine, args, factors, x);
  project(engine, args, scales, { x, factors, out: projected });
  attendParts(engine, args, projected, parts);
  mergeAttention(engine, args, { parts, activated, factors, out: attended });
  sumBranches(engine, args, scales, { attended, activated, factors });
  return true;
}

export function bindDecoding(engine: Engine, product: HeldProduct): EngineDecoding {
  const kept = new ScalesOfBlocks(engine);
  return {
    block(args) {
      product.flush();
      return decodeBlock(engine, kept, args);
    },
    chooseToken(args) {
      product.flush();
      chooseToken(engine, args);
    },
    release: (tensor) => kept.release(tensor),
  };
}
