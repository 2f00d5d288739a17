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

/** Rows that an operation has just made: an engine may keep them in another form for the product. */
function chained(kind: WeightKind): OpCase {
  return {
    op: 'linearBackward',
    name: `linear and linearBackward ${kind} of rows that gelu and layerNorm made`,
    async run(backend) {
      const { ops } = backend;
      const [rows, width, outWidth] = [12, 1032, 48];
      const make = (shape: number[], seed: number) => randomTensor(backend, shape, seed);
      const [x, made, normed] = [1, 2, 3].map((seed) => make([rows, width], seed));
      const [scale, bias, mean, rstd] = [
        make([width], 4),
        make([width], 5),
        ...[6, 7].map((seed) => make([rows], seed)),
      ];
      const [out, sum, dX] = [
        make([rows, outWidth], 8),
        make([rows, outWidth], 9),
        make([rows, width], 10),
      ];
      const weight = randomWeight(backend, kind, [outWidth, width], 11);
      const back = randomWeight(backend, kind, [width, outWidth], 12);
      const product = { weight, bias: null, accumulate: false };
      ops.gelu({ x, out: made });
      ops.linear({ ...product, x: made, out });
      ops.layerNorm({ x: made, weight: scale, bias, epsilon: 1e-5, out: normed, mean, rstd });
      ops.linear({ ...product, x: normed, out: sum });
      ops.geluBackward({ dOut: normed, x, dX: made });
      const dOut = make([rows, outWidth], 13);
      ops.linearBackward({ dOut: made, weight: back, dX: dOut, accumulate: false });
      // The rows change after they were made.
      ops.axpby({ x, out: made, alpha: 0.5, beta: 0.25 });
      ops.linear({ ...product, x: made, out: sum, accumulate: true });
      const all = [x, made, normed, scale, bias, mean, rstd, out, sum, dX, dOut];
      const tensors = [...all, ...weightTensors(weight), ...weightTensors(back)];
      return readAndFree(backend, { out, sum, made, normed, dOut }, tensors);
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

// in = 320, 128 and 64: whole blocks a row; 80 and 27: blocks cross rows; 27 x 5: an odd count of codes.
const SHAPES: readonly Shape[] = [
  { rows: 1, inFeatures: 320, outFeatures: 67 },
  { rows: 3, inFeatures: 64, outFeatures: 40 },
  { rows: 17, inFeatures: 80, outFeatures: 33 },
  { rows: 70, inFeatures: 320, outFeatures: 136 },
  { rows: 1, inFeatures: 80, outFeatures: 9 },
  { rows: 6, inFeatures: 27, outFeatures: 5 },
  { rows: 8, inFeatures: 128, outFeatures: 6 },
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
    chained(kind),
  ]);
}
