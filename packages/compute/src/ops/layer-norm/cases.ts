import { type OpCase, randomTensor, readAndFree } from '../../testing/op-case.js';

function forward(rows: number, width: number): OpCase {
  return {
    op: 'layerNorm',
    name: `layerNorm ${rows}x${width}`,
    async run(backend) {
      const x = randomTensor(backend, [rows, width], 1, 3);
      const weight = randomTensor(backend, [width], 2);
      const bias = randomTensor(backend, [width], 3);
      const out = backend.empty('f32', [rows, width]);
      const mean = backend.empty('f32', [rows]);
      const rstd = backend.empty('f32', [rows]);
      backend.ops.layerNorm({ x, weight, bias, epsilon: 1e-5, out, mean, rstd });
      return readAndFree(backend, { out, mean, rstd }, [x, weight, bias, out, mean, rstd]);
    },
  };
}

function backward(rows: number, width: number, accumulate: boolean): OpCase {
  return {
    op: 'layerNormBackward',
    name: `layerNormBackward ${rows}x${width}${accumulate ? ', accumulated' : ''}`,
    async run(backend) {
      const x = randomTensor(backend, [rows, width], 1, 3);
      const weight = randomTensor(backend, [width], 2);
      const bias = randomTensor(backend, [width], 3);
      const out = backend.empty('f32', [rows, width]);
      const mean = backend.empty('f32', [rows]);
      const rstd = backend.empty('f32', [rows]);
      const dOut = randomTensor(backend, [rows, width], 4);
      const dX = randomTensor(backend, [rows, width], 5);
      backend.ops.layerNorm({ x, weight, bias, epsilon: 1e-5, out, mean, rstd });
      backend.ops.layerNormBackward({ dOut, x, weight, mean, rstd, dX, accumulate });
      return readAndFree(backend, { dX }, [x, weight, bias, out, mean, rstd, dOut, dX]);
    },
  };
}

const SHAPES = [
  [1, 7],
  [3, 64],
  [5, 320],
  [2, 2560],
  [12, 1032],
] as const;

export function layerNormCases(): OpCase[] {
  return SHAPES.flatMap(([rows, width]) => [
    forward(rows, width),
    backward(rows, width, false),
    backward(rows, width, true),
  ]);
}
