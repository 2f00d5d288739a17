import { expectTensor, type Tensor } from '../../tensor.js';

/**
 * losses[i] = -log softmax(logits[i])[labels[i]]; with a `gradientScale`, logits become the gradient
 * (softmax - onehot) * gradientScale in place. A negative label gives loss 0 and gradient 0.
 */
export interface CrossEntropyArgs {
  /** f32 `[n, V]` */
  readonly logits: Tensor;
  /** i32 `[n]` */
  readonly labels: Tensor;
  /** f32 `[n]` */
  readonly losses: Tensor;
  /** null: logits stay as they are. */
  readonly gradientScale: number | null;
}

export function checkCrossEntropy({ logits, labels, losses }: CrossEntropyArgs): void {
  const rows = labels.size;
  expectTensor('crossEntropy', 'labels', labels, 'i32', rows);
  expectTensor('crossEntropy', 'losses', losses, 'f32', rows);
  expectTensor('crossEntropy', 'logits', logits, 'f32', rows * Math.floor(logits.size / rows));
}
