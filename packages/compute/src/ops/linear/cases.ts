import { type OpCase, randomTensor, readAndFree } from '../../testing/op-case.js';
import { randomWeight, type WeightKind } from '../../testing/weights.js';
import { weightTensors } from '../../weight.js';

interface Shape {
  readonly rows: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

function forward(kind: WeightKind, shape: Shape, bias: boolean, accumulate: boolean): OpCase {
  const { rows, inFeatures, outFeatures } = shape;
  return {
    op: 'linear',
    name: `linear ${kind} ${rows}x${inFeatures} to ${outFeatures}${bias ? ', bias' : ''}${accumulate ? ', accumulated' : ''}`,
    async run(backend) {
      const x = randomTensor(backend, [rows, inFeatures], 1);
      const weight = randomWeight(backend, kind, [outFeatures, inFeatures], 2);
      const b = randomTensor(backend, [outFeatures], 3);
      const out = randomTensor(backend, [rows, outFeatures], 4);
      backend.ops.linear({ x, weight, bias: bias ? b : null, out, accumulate });
      return readAndFree(backend, { out }, [x, b, out, ...weightTensors(weight)]);
    },
  };
}

function backward(kind: WeightKind, shape: Shape, accumulate: boolean): OpCase {
  const { rows, inFeatures, outFeatures } = shape;
  return {
    op: 'linearBackward',
    name: `linearBackward ${kind} ${rows}x${outFeatures} to ${inFeatures}${accumulate ? ', accumulated' : ''}`,
    async run(backend) {
      const dOut = randomTensor(backend, [rows, outFeatures], 1);
      const weight = randomWeight(backend, kind, [outFeatures, inFeatures], 2);
      const dX = randomTensor(backend, [rows, inFeatures], 4);
      backend.ops.linearBackward({ dOut, weight, dX, accumulate });
      return readAndFree(backend, { dX }, [dOut, dX, ...weightTensors(weight)]);
    },
  };
}

function dequantize(kind: 'nf4' | 'nf4-double', shape: readonly [number, number]): OpCase {
  return {
    op: 'dequantizeNf4',
    name: `dequantizeNf4 ${kind} ${shape.join('x')}`,
    async run(backend) {
      const weight = randomWeight(backend, kind, shape, 5);
      if (weight.kind !== 'nf4') throw new Error('unreachable');
      const out = backend.empty('f32', shape);
      backend.ops.dequantizeNf4({ weight, out });
      return readAndFree(backend, { out }, [out, ...weightTensors(weight)]);
    },
  };
}

const KINDS: readonly WeightKind[] = ['f32', 'f16', 'nf4', 'nf4-double'];

// in = 320 and 64: whole blocks a row; 80 and 27: blocks cross rows; 27 x 5: an odd count of codes.
const SHAPES: readonly Shape[] = [
  { rows: 1, inFeatures: 320, outFeatures: 67 },
  { rows: 3, inFeatures: 64, outFeatures: 40 },
  { rows: 17, inFeatures: 80, outFeatures: 33 },
  { rows: 70, inFeatures: 320, outFeatures: 136 },
  { rows: 1, inFeatures: 80, outFeatures: 9 },
  { rows: 6, inFeatures: 27, outFeatures: 5 },
];

export function linearCases(): OpCase[] {
  return KINDS.flatMap((kind) => [
    ...SHAPES.flatMap((shape) => [
      forward(kind, shape, true, false),
      forward(kind, shape, false, true),
      backward(kind, shape, false),
      backward(kind, shape, true),
    ]),
    ...(kind === 'nf4' || kind === 'nf4-double'
      ? [dequantize(kind, [7, 320]), dequantize(kind, [5, 27]), dequantize(kind, [300, 80])]
      : []),
  ]);
}
