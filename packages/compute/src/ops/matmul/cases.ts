import { type OpCase, randomTensor, readAndFree } from '../../testing/op-case.js';

const SHAPES = [
  [1, 1, 1],
  [5, 7, 3],
  [33, 16, 320],
  [16, 320, 50],
  [4, 8, 1],
  [130, 65, 129],
] as const;

const SCALES = [
  [1, 0],
  [0.5, 1],
  [2, -0.25],
] as const;

function matmulCase(
  [m, n, k]: readonly [number, number, number],
  transposeA: boolean,
  transposeB: boolean,
  [alpha, beta]: readonly [number, number],
): OpCase {
  const form = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
  return {
    op: 'matmul',
    name: `matmul ${form} ${m}x${n}x${k}, alpha ${alpha}, beta ${beta}`,
    async run(backend) {
      const a = randomTensor(backend, transposeA ? [k, m] : [m, k], 1);
      const b = randomTensor(backend, transposeB ? [n, k] : [k, n], 2);
      const out = randomTensor(backend, [m, n], 3);
      backend.ops.matmul({ a, b, out, m, n, k, transposeA, transposeB, alpha, beta });
      return readAndFree(backend, { out }, [a, b, out]);
    },
  };
}

const betaZero: OpCase = {
  op: 'matmul',
  name: 'matmul with beta 0 ignores what out held, NaN included',
  async run(backend) {
    const a = randomTensor(backend, [6, 9], 1);
    const b = randomTensor(backend, [9, 10], 2);
    const out = backend.empty('f32', [6, 10]);
    backend.ops.fill({ out, value: Number.NaN });
    const flags = { transposeA: false, transposeB: false, alpha: 1, beta: 0 };
    backend.ops.matmul({ a, b, out, m: 6, n: 10, k: 9, ...flags });
    return readAndFree(backend, { out }, [a, b, out]);
  },
};

export function matmulCases(): OpCase[] {
  const forms = [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ] as const;
  const grid = SHAPES.flatMap((shape) =>
    forms.flatMap(([transposeA, transposeB]) =>
      SCALES.map((scale) => matmulCase(shape, transposeA, transposeB, scale)),
    ),
  );
  return [...grid, betaZero];
}
