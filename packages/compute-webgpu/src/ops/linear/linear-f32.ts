import type { LinearArgs, LinearBackwardArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
import { gemmBody, gemmPlan, tileKey } from '../../wgsl/gemm.js';
import { weightParams, weightReader, weightTensors } from '../../wgsl/weight.js';

/** A linear layer whose output may be some columns of wider rows. */
export interface LinearPart extends LinearArgs {
  /** Elements from one row of `out` to the next. */
  readonly outStride: number;
}

/** The backward of a layer whose output is some columns of wider rows. */
export interface LinearBackwardPart extends LinearBackwardArgs {
  readonly dOutStride: number;
}

const kernels = new Memo<KernelSpec>();

/** The weight is decoded while a tile of it is staged; every product is of f32 values. */
export function linearF32(engine: Engine, part: LinearPart): void {
  const { x, weight, bias, out, outStride, accumulate } = part;
  const [n, k] = weight.shape;
  const m = x.size / k;
  const reader = weightReader(weight);
  const { tile, groups } = gemmPlan(m, n, k, false);
  const key = `linear ${reader.key} ${tileKey(tile)}${bias ? ' bias' : ''}${accumulate ? ' accumulate' : ''}`;
  const kernel = kernels.get(key, () => ({
    key,
    bindings: {
      x: read(),
      ...reader.bindings,
      ...(bias ? { bias: read() } : {}),
      out: write(),
    },
    params: { ...reader.params, m: 'u32', n: 'u32', k: 'u32', span: 'u32', outStride: 'u32' },
    body: gemmBody(
      {
        declarations: /* wgsl */ `${reader.declarations}
fn loadA(m: u32, k: u32) -> f32 { return x[p.xAt + m * p.k + k]; }
fn loadB(k: u32, n: u32) -> f32 { return weightAt(n * p.k + k); }
fn store(m: u32, n: u32, value: f32, _part: u32) {
  let at = p.outAt + m * p.outStride + n;
  out[at] = value${bias ? ' + bias[p.biasAt + n]' : ''}${accumulate ? ' + out[at]' : ''};
}`,
        aAlongK: true,
        bAlongK: true,
      },
      tile,
    ),
  }));
  const tensors = { x, ...weightTensors(weight), ...(bias ? { bias } : {}), out };
  const params = { ...weightParams(weight), m, n, k, span: k, outStride };
  engine.recorder.dispatch(kernel, tensors, params, groups);
}

/** dX = dOut W: the same weight read along its rows, so that no transposed copy is needed. */
export function linearBackwardF32(engine: Engine, part: LinearBackwardPart): void {
  const { dOut, weight, dX, dOutStride, accumulate } = part;
  const [k, n] = weight.shape;
  const m = dX.size / n;
  const reader = weightReader(weight);
  const { tile, groups } = gemmPlan(m, n, k, false);
  const key = `linearBackward ${reader.key} ${tileKey(tile)}${accumulate ? ' accumulate' : ''}`;
  const kernel = kernels.get(key, () => ({
    key,
    bindings: { dOut: read(), ...reader.bindings, dX: write() },
    params: { ...reader.params, m: 'u32', n: 'u32', k: 'u32', span: 'u32', dOutStride: 'u32' },
    body: gemmBody(
      {
        declarations: /* wgsl */ `${reader.declarations}
fn loadA(m: u32, k: u32) -> f32 { return dOut[p.dOutAt + m * p.dOutStride + k]; }
fn loadB(k: u32, n: u32) -> f32 { return weightAt(k * p.n + n); }
fn store(m: u32, n: u32, value: f32, _part: u32) {
  let at = p.dXAt + m * p.n + n;
  dX[at] = value${accumulate ? ' + dX[at]' : ''};
}`,
        aAlongK: true,
        bAlongK: false,
      },
      tile,
    ),
  }));
  const tensors = { dOut, ...weightTensors(weight), dX };
  const params = { ...weightParams(weight), m, n, k, span: k, dOutStride };
  engine.recorder.dispatch(kernel, tensors, params, groups);
}
