import type { Readback, Tensor } from '@qlorajs/compute';
import type { Pager } from '@qlorajs/paged-optim';
import { type LabelledBatch, trainedPositions } from './batch.js';
import { type BlockActivations, blockActivations, blockForward } from './block.js';
import { blockBackward } from './block-backward.js';
import type { BlockInputs } from './block-inputs.js';
import { lossHead } from './loss-head.js';
import type { Pass } from './pass.js';
import { replayed } from './replay.js';

/** The sum of a batch's losses, in nats, and how many tokens it is over. */
export interface BatchLoss {
  readonly lossSum: number;
  readonly tokens: number;
}

/** A {@link BatchLoss} that is still on the device. */
export interface PendingLoss {
  /** Known once its {@link Readback} is flushed. */
  readonly lossSum: Promise<number>;
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
  /** Makes pages of the blocks' inputs: what it has no room for is on the host meanwhile. */
  readonly inputPager?: Pager;
  /** Where this batch's tokens begin among those that share its dropout masks (default 0). */
  readonly firstToken?: number;
}

/** What a pass over one micro-batch needs of its model. */
export interface TrainingPass {
  readonly pass: Pass;
  readonly batch: LabelledBatch;
  /** f32 `[n, C]`: the embedded tokens, the first block's input. */
  readonly embedded: Tensor;
  /** f32 `[n, C]`: receives gradients of hidden states. */
  readonly dh: Tensor;
  readonly checkpointing: boolean;
  /** Divides every gradient. */
  readonly normalizer: number;
  /** Where the losses wait. */
  readonly readback: Readback;
}

/** What it needs where weights or inputs of blocks are not always on the device. */
export interface PagedPass extends TrainingPass {
  readonly inputs: BlockInputs;
  /** Runs `work` with a block's weights on the device. */
  onBlock(layer: number, direction: 1 | -1, work: () => void): Promise<void>;
}

/** Hidden rows of adapters are kept for the backward up to this share of a block's input, which is kept. */
const HIDDEN_SHARE = 1 / 16;

/** Whether every block's hidden rows are kept: those of DoRA are made with much else, and made again. */
function keepsHidden({ adapter, config }: Pass): boolean {
  if (adapter === null || adapter.config.useDora) return false;
  const ranks = [...adapter.layers.values()].reduce((sum, { rank }) => sum + rank, 0);
  return ranks <= HIDDEN_SHARE * config.hiddenSize * config.layers;
}

function savedFor(pass: Pass, checkpointing: boolean): (layer: number) => BlockActivations {
  const hidden = keepsHidden(pass);
  return (layer) => {
    const own = `block.${layer}`;
    if (!checkpointing) return blockActivations(pass, { name: own, hidden: own });
    return blockActivations(pass, { name: 'block', hidden: hidden ? own : 'block' });
  };
}

/** The loss after the last block; dh becomes the gradient of its output. */
function lossAt({ pass, batch, dh, normalizer, readback }: TrainingPass, h: Tensor): PendingLoss {
  const { rows, labels } = trainedPositions(batch);
  const gradient = { scale: 1 / normalizer, dh };
  return { lossSum: lossHead(pass, h, rows, labels, gradient, readback), tokens: rows.length };
}

/** Forward and backward with everything on the device; the adapter's gradients accumulate. */
export function straightPass(args: TrainingPass): PendingLoss {
  const { pass, batch, embedded, dh, checkpointing } = args;
  const { layers } = pass.config;
  const activations = savedFor(pass, checkpointing);
  const inputs = [embedded];
  for (let layer = 1; layer <= layers; layer++)
    inputs.push(pass.workspace.get(`hidden.${layer}`, embedded.shape));
  const kept = checkpointing ? 'kept inputs' : 'kept activations';
  replayed(pass, `forward, ${kept}`, () => {
    for (let layer = 0; layer < layers; layer++)
      blockForward(pass, layer, inputs[layer], inputs[layer + 1], activations(layer));
  });
  const loss = lossAt(args, inputs[layers]);
  replayed(pass, `backward, ${kept}`, () => {
    for (let layer = layers - 1; layer >= 0; layer--) {
      // The last block's activations are still there: only earlier ones are computed again.
      if (checkpointing && layer < layers - 1)
        blockForward(pass, layer, inputs[layer], null, activations(layer));
      blockBackward(pass, layer, inputs[layer], dh, activations(layer));
    }
  });
  embeddingBackward(pass, batch.inputIds, dh);
  return loss;
}

/** The same, a block at a time: what it needs is brought to the device before it. */
export async function pagedPass(args: PagedPass): Promise<PendingLoss> {
  const { pass, batch, embedded, dh, inputs, checkpointing, onBlock } = args;
  const { layers } = pass.config;
  const activations = savedFor(pass, checkpointing);
  let h = embedded;
  for (let layer = 0; layer < layers; layer++) {
    const [from, out] = [h, await inputs.use(layer + 1, 'overwrite')];
    await onBlock(layer, 1, () => blockForward(pass, layer, from, out, activations(layer)));
    inputs.release(layer, false);
    h = out;
  }
  const loss = lossAt(args, h);
  for (let layer = layers - 1; layer >= 0; layer--) {
    const input = await inputs.use(layer, 'read');
    await onBlock(layer, -1, () => {
      if (checkpointing && layer < layers - 1)
        blockForward(pass, layer, input, null, activations(layer));
      blockBackward(pass, layer, input, dh, activations(layer));
    });
    inputs.release(layer, true);
  }
  embeddingBackward(pass, batch.inputIds, dh);
  return loss;
}

/** Gradients of the embedding, or of its trained rows. */
function embeddingBackward(pass: Pass, inputIds: Int32Array, dh: Tensor): void {
  const { backend, workspace, adapter } = pass;
  const width = pass.config.hiddenSize;
  const whole = adapter?.modules.get('model.embed_tokens');
  if (whole) {
    const ids = workspace.integers('embedding.ids', inputIds);
    backend.ops.scatterAddRows({ source: dh, ids, out: whole.weight.grad, width });
  }
  const trained = adapter?.tokens.get('embed_tokens');
  if (!trained) return;
  const slot = new Map(trained.ids.map((id, i) => [id, i]));
  const ids = workspace.integers(
    'embedding.slots',
    inputIds.map((id) => slot.get(id) ?? -1),
  );
  backend.ops.scatterAddRows({ source: dh, ids, out: trained.rows.grad, width });
}
