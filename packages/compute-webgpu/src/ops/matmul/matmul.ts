import { checkMatmul, type MatmulArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
import { type GemmTile, gemmBody, gemmPlan } from '../../wgsl/gemm.js';

type MatmulKernel = KernelSpec<'a' | 'b' | 'out', 'm' | 'n' | 'k' | 'alpha' | 'beta'>;

const kernels = new Memo<MatmulKernel>();

function matmulKernel(
  key: string,
  { transposeA, transposeB, beta }: MatmulArgs,
  tile: GemmTile,
): MatmulKernel {
  const kept = beta === 0 ? '' : ' + p.beta * out[at]';
  return {
    key,
    bindings: { a: read(), b: read(), out: write() },
    params: { m: 'u32', n: 'u32', k: 'u32', alpha: 'f32', beta: 'f32' },
    body: gemmBody(
      {
        declarations: /* wgsl */ `
fn loadA(m: u32, k: u32) -> f32 { return a[p.aAt + ${transposeA ? 'k * p.m + m' : 'm * p.k + k'}]; }
fn loadB(k: u32, n: u32) -> f32 { return b[p.bAt + ${transposeB ? 'n * p.k + k' : 'k * p.n + n'}]; }
fn store(m: u32, n: u32, value: f32) {
  let at = p.outAt + m * p.n + n;
  out[at] = p.alpha * value${kept};
}`,
        aAlongK: !transposeA,
        bAlongK: transposeB,
      },
      tile,
    ),
  };
}

export function matmul(engine: Engine, args: MatmulArgs): void {
  checkMatmul(args);
  const { a, b, out, m, n, k, transposeA, transposeB, alpha, beta } = args;
  const { tile, groups } = gemmPlan(m, n);
  const key = `matmul ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'} ${tile.rows}${beta === 0 ? '' : ' beta'}`;
  const kernel = kernels.get(key, () => matmulKernel(key, args, tile));
  engine.recorder.dispatch(kernel, { a, b, out }, { m, n, k, alpha, beta }, groups);
}
