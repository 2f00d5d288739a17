import { tensorFrom } from '../../backend.js';
import { type OpCase, randomTensor, randomValues, readAndFree } from '../../testing/op-case.js';

function adamw(size: number, step: number, weightDecay: number): OpCase {
  return {
    op: 'adamw',
    name: `adamw of ${size}, step ${step}, weight decay ${weightDecay}`,
    async run(backend) {
      const parameter = randomTensor(backend, [size], 1);
      const gradient = randomTensor(backend, [size], 2);
      const firstMoment = randomTensor(backend, [size], 3, 0.1);
      const secondMoment = tensorFrom(
        backend,
        randomValues(size, 4).map((value) => value * value),
        [size],
      );
      const scale = tensorFrom(backend, [0.75], [1]);
      const rates = { learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
      const state = { parameter, gradient, firstMoment, secondMoment };
      backend.ops.adamw({ ...state, scale, ...rates, weightDecay, step });
      const outputs = { parameter, firstMoment, secondMoment };
      return readAndFree(backend, outputs, [...Object.values(state), scale]);
    },
  };
}

function sumSquares(size: number, accumulate: boolean): OpCase {
  return {
    op: 'sumSquares',
    name: `sumSquares of ${size}${accumulate ? ', accumulated' : ''}`,
    async run(backend) {
      const x = randomTensor(backend, [size], 1);
      const out = tensorFrom(backend, [3], [1]);
      backend.ops.sumSquares({ x, out, accumulate });
      return readAndFree(backend, { out }, [x, out]);
    },
  };
}

function clipScale(norm: number, maxNorm: number): OpCase {
  return {
    op: 'clipScale',
    name: `clipScale of ${norm} to ${maxNorm}`,
    async run(backend) {
      const squares = tensorFrom(backend, [norm * norm], [1]);
      const out = backend.empty('f32', [1]);
      backend.ops.clipScale({ sumSquares: squares, maxNorm, out });
      return readAndFree(backend, { out }, [squares, out]);
    },
  };
}

export function optimizerCases(): OpCase[] {
  return [
    ...[1, 7, 5121].flatMap((size) => [
      adamw(size, 1, 0),
      adamw(size, 9, 0.1),
      sumSquares(size, false),
      sumSquares(size, true),
    ]),
    sumSquares(100_003, false),
    clipScale(4, 1),
    clipScale(0.5, 1),
    clipScale(4, 0),
    clipScale(0, 1),
  ];
}
