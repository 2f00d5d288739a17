import { type CrossEntropyArgs, checkCrossEntropy } from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { ANY_NEGATIVE, at, expectIntegers } from './context.js';

export function crossEntropy(engine: Engine, args: CrossEntropyArgs): void {
  checkCrossEntropy(args);
  const { logits, labels, losses, gradientScale } = args;
  if (labels.size === 0) return;
  const width = logits.size / labels.size;
  expectIntegers(engine, 'crossEntropy', 'labels', labels, ANY_NEGATIVE, width - 1);
  const tensors = [logits, labels, losses].map((tensor) => at(engine, tensor));
  engine.run('crossEntropy', {
    chunks: labels.size,
    integers: [...tensors, width, gradientScale === null ? 0 : 1],
    floats: [gradientScale ?? 0],
    work: 10 * logits.size,
  });
}
