import { integersFrom } from '../../backend.js';
import { type OpCase, randomTensor, readAndFree } from '../../testing/op-case.js';

function crossEntropyCase(width: number, scale: number, gradientScale: number | null): OpCase {
  const labels = [0, width - 1, -100, Math.floor(width / 2)];
  return {
    op: 'crossEntropy',
    name: `crossEntropy of ${width}, logits of ${scale}${gradientScale === null ? '' : ', gradient'}`,
    async run(backend) {
      const logits = randomTensor(backend, [labels.length, width], 1, scale);
      const ids = integersFrom(backend, labels);
      const losses = backend.empty('f32', [labels.length]);
      backend.ops.crossEntropy({ logits, labels: ids, losses, gradientScale });
      return readAndFree(backend, { losses, logits }, [logits, ids, losses]);
    },
  };
}

export function crossEntropyCases(): OpCase[] {
  return [3, 64, 8256, 50295].flatMap((width) => [
    crossEntropyCase(width, 1, null),
    crossEntropyCase(width, 3, 0.125),
    crossEntropyCase(width, 60, 1),
  ]);
}
