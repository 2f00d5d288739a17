import {
  checkDequantizeNf4,
  checkLinear,
  checkLinearBackward,
  checkMatmul,
  type DequantizeNf4Args,
  type LinearArgs,
  type LinearBackwardArgs,
  type MatmulArgs,
} from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { at, elementChunks } from './context.js';
import { gemm } from './gemm.js';
import { withWeight } from './weight.js';

/** Up to this many rows of x nothing is packed. */
const FEW_ROWS = 16;
/** Rows of a weight that a chunk of `gemv` or `fewRows` takes. */
const CHUNK_ROWS = 16;
/** Scratch of `fewRows`: stretches of two widened rows, and the sums; see assembly/few-rows.ts. */
const FEW_ROWS_BYTES = 2 * 4 * 1024 + 32 * FEW_ROWS;

export function linear(engine: Engine, args: LinearArgs): void {
  checkLinear(args);
  const { x, weight, bias, out, accumulate } = args;
  const [n, k] = weight.shape;
  const m = out.size / n;
  if (m === 0) return;
  if (m <= FEW_ROWS) {
    multiplyFewRows(engine, args, m);
    return;
  }
  const flags = { transposeA: false, transposeB: true, alpha: 1, beta: accumulate ? 1 : 0 };
  gemm(engine, { op: 'linear', a: x, b: weight, out, bias, m, n, k, ...flags });
}

function multiplyFewRows(engine: Engine, args: LinearArgs, m: number): void {
  const { x, weight, bias, out, accumulate } = args;
  const [n, k] = weight.shape;
  engine.reserveScratch(0, m === 1 ? 4 * k : FEW_ROWS_BYTES);
  const left = [at(engine, x), m, k, 0, 0];
  const right = [n, at(engine, out), at(engine, bias), accumulate ? 1 : 0, 0, CHUNK_ROWS];
  engine.run(m === 1 ? 'gemv' : 'fewRows', {
    chunks: Math.ceil(n / CHUNK_ROWS),
    ...withWeight(engine, 'linear', weight, [...left, ...right], []),
    work: m * n * k,
  });
}

export function linearBackward(engine: Engine, args: LinearBackwardArgs): void {
  checkLinearBackward(args);
  const { dOut, weight, dX, accumulate } = args;
  const [k, n] = weight.shape;
  const m = dX.size / n;
  const flags = { transposeA: false, transposeB: false, alpha: 1, beta: accumulate ? 1 : 0 };
  gemm(engine, {
    ...{ op: 'linearBackward', a: dOut, b: weight, out: dX, bias: null, m, n, k },
    ...flags,
  });
}

export function matmul(engine: Engine, args: MatmulArgs): void {
  checkMatmul(args);
  const { a, out, m, n, k, transposeA, transposeB, alpha, beta } = args;
  const b = { kind: 'dense', shape: [k, n], values: args.b } as const;
  const flags = { transposeA, transposeB, alpha, beta };
  gemm(engine, { op: 'matmul', a, b, out, bias: null, m, n, k, ...flags });
}

export function dequantizeNf4(engine: Engine, args: DequantizeNf4Args): void {
  checkDequantizeNf4(args);
  const { weight, out } = args;
  engine.run('dequantizeNf4', {
    chunks: elementChunks(out.size),
    ...withWeight(engine, 'dequantizeNf4', weight, [at(engine, out), out.size], []),
    work: out.size,
  });
}
