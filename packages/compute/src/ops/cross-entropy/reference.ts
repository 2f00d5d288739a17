import { floats, integers } from '../../reference/storage.js';
import { type CrossEntropyArgs, checkCrossEntropy } from './op.js';

export function crossEntropy(args: CrossEntropyArgs): void {
  checkCrossEntropy(args);
  const [logits, labels, losses] = [
    floats(args.logits),
    integers(args.labels),
    floats(args.losses),
  ];
  const width = logits.length / labels.length;
  for (let row = 0; row < labels.length; row++) {
    const values = logits.subarray(row * width, (row + 1) * width);
    const label = labels[row];
    const largest = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const sum = values.reduce((total, value) => total + Math.exp(value - largest), 0);
    losses[row] = label < 0 ? 0 : largest + Math.log(sum) - values[label];
    if (args.gradientScale === null) continue;
    for (let i = 0; i < width; i++) {
      const probability = Math.exp(values[i] - largest) / sum;
      values[i] = label < 0 ? 0 : (probability - (i === label ? 1 : 0)) * args.gradientScale;
    }
  }
}
