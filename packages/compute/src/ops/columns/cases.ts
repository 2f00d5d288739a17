import { type OpCase, randomTensor, readAndFree } from '../../testing/op-case.js';

function scaleColumns(rows: number, width: number, accumulate: boolean): OpCase {
  return {
    op: 'scaleColumns',
    name: `scaleColumns ${rows}x${width}${accumulate ? ', accumulated' : ', in place'}`,
    async run(backend) {
      const x = randomTensor(backend, [rows, width], 1);
      const scale = randomTensor(backend, [width], 2);
      const out = accumulate ? randomTensor(backend, [rows, width], 3) : x;
      backend.ops.scaleColumns({ x, scale, out, accumulate });
      return readAndFree(backend, { out }, accumulate ? [x, scale, out] : [x, scale]);
    },
  };
}

function columnSums(rows: number, width: number, product: boolean): OpCase {
  return {
    op: 'columnSums',
    name: `columnSums ${rows}x${width}${product ? ', of a product' : ''}`,
    async run(backend) {
      const a = randomTensor(backend, [rows, width], 1);
      const b = product ? randomTensor(backend, [rows, width], 2) : null;
      const out = randomTensor(backend, [width], 3);
      backend.ops.columnSums({ a, b, out });
      return readAndFree(backend, { out }, b ? [a, b, out] : [a, out]);
    },
  };
}

function inverseRowNorms(rows: number, width: number): OpCase {
  return {
    op: 'inverseRowNorms',
    name: `inverseRowNorms ${rows}x${width}, a row of zeros among them`,
    async run(backend) {
      const x = randomTensor(backend, [rows, width], 1);
      const out = backend.empty('f32', [rows]);
      backend.write(x, new Float32Array(width), (rows - 1) * width);
      backend.ops.inverseRowNorms({ x, out });
      return readAndFree(backend, { out }, [x, out]);
    },
  };
}

const SHAPES = [
  [1, 7],
  [3, 64],
  [70, 131],
  [5, 2560],
] as const;

export function columnsCases(): OpCase[] {
  return SHAPES.flatMap(([rows, width]) => [
    scaleColumns(rows, width, false),
    scaleColumns(rows, width, true),
    columnSums(rows, width, false),
    columnSums(rows, width, true),
    inverseRowNorms(rows, width),
  ]);
}
