import { floats } from '../../reference/storage.js';
import { checkMatmul, type MatmulArgs } from './op.js';

export function matmul(args: MatmulArgs): void {
  checkMatmul(args);
  const { m, n, k, transposeA, transposeB, alpha, beta } = args;
  const [a, b, out] = [floats(args.a), floats(args.b), floats(args.out)];
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++)
        sum += a[transposeA ? p * m + i : i * k + p] * b[transposeB ? j * k + p : p * n + j];
      out[i * n + j] = alpha * sum + (beta === 0 ? 0 : beta * out[i * n + j]);
    }
}
