import type { DecodeBlockArgs, Nf4Weight, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { Memo } from '../memo.js';
import type { BlockScales } from './block-scales.js';
import { slicesOf } from './merge.js';
import { eachShare, planOf, type RowsTerm, rowSums, sharedFloats } from './rows.js';
import { rankOf, SUMMED } from './suits.js';

/** Rows of a thread: with more, the last workgroups leave processors idle. */
const ROWS = 4;

const kernels = new Memo<KernelSpec>();

interface Shape {
  readonly widths: readonly number[];
  readonly blockSizes: readonly number[];
  /** Of the adapter, and the parts that its hidden rows come in. */
  readonly ranks: readonly number[];
  readonly shares: readonly number[];
}

function shapeOf(args: DecodeBlockArgs): Shape {
  return {
    widths: SUMMED.map((name) => args[name].weight.shape[1]),
    blockSizes: SUMMED.map((name) => (args[name].weight as Nf4Weight).blockSize),
    ranks: SUMMED.map((name) => rankOf(args, name)),
    shares: [args.heads, slicesOf(args)],
  };
}

const termsOf = ({ widths, blockSizes }: Shape) =>
  widths.map(
    (width, t): RowsTerm => ({
      ...{ width, blockSize: blockSizes[t], codes: [`codes${t}`] },
      x: (at) => `(p.x${t}At + ${at}) / 4u`,
      scales: `p.sideAt + p.scalesAt${t}`,
    }),
  );

const hiddenParts = ({ ranks, shares }: Shape) => ranks.map((rank, t) => rank * shares[t]);

/** Floats of workgroup memory that {@link sumBranches} takes. */
export function sumFloats(args: DecodeBlockArgs): number {
  const shape = shapeOf(args);
  const plan = planOf(shape.widths, ROWS);
  const ranks = shape.ranks[0] + shape.ranks[1];
  const [heads, slices] = hiddenParts(shape);
  return sharedFloats(plan, termsOf(shape)) + heads + slices + ranks * (1 + plan.outputs);
}

function sumKernel(shape: Shape): KernelSpec {
  const { widths, blockSizes, ranks, shares } = shape;
  const [width] = widths;
  const key = `decode: dense and fc2 ${widths.join('x')} ${blockSizes} ranks ${ranks} of ${shares}`;
  return kernels.get(key, () => {
    const plan = planOf(widths, ROWS);
    const { outputs, threads } = plan;
    const [heads, slices] = hiddenParts(shape);
    const all = ranks[0] + ranks[1];
    // Columns of both factors, of the same row, follow each other.
    const factors = ranks.map((rank, t) =>
      eachShare(
        outputs * rank,
        threads,
        (e) =>
          `factorsOf[${e} / ${rank}u * ${all}u + ${t === 0 ? 0 : ranks[0]}u + ${e} % ${rank}u] = factors[p.b${t} + min(first * ${rank}u + ${e}, n * ${rank}u - 1u)];`,
      ),
    );
    const parts = eachShare(
      heads + slices,
      threads,
      (e) => `hiddenParts[${e}] = x0[(p.x0At + ${width}u + ${e}) / 4u][${e} % 4u];`,
    );
    const { declarations, body } = rowSums(plan, termsOf(shape), [...factors, parts].join('\n'));
    const hidden = ranks.map((rank, t) => {
      const start = t === 0 ? 0 : heads;
      return rank === 0
        ? ''
        : /* wgsl */ `
  if (local < ${rank}u) {
    var sum = 0.0;
    for (var i = 0u; i < ${shares[t]}u; i++) { sum += hiddenParts[${start}u + i * ${rank}u + local]; }
    hiddenOf[${t === 0 ? 0 : ranks[0]}u + local] = sum * p.lowScale${t};
  }`;
    });
    const names = ['b', 'scalesAt', 'biasAt', 'lowScale'];
    const params = names.flatMap((name) =>
      [0, 1].map((t) => [`${name}${t}`, name === 'lowScale' ? 'f32' : 'u32'] as const),
    );
    return {
      key,
      bindings: {
        ...{ x0: read('vec4f'), x1: read('vec4f'), codes0: read('u32'), codes1: read('u32') },
        ...{ side: read(), factors: read(), h: read(), out: write() },
      },
      params: Object.fromEntries(params),
      body: /* wgsl */ `${declarations}
var<workgroup> hiddenParts: array<f32, ${Math.max(1, heads + slices)}>;
var<workgroup> hiddenOf: array<f32, ${Math.max(1, all)}>;
var<workgroup> factorsOf: array<f32, ${Math.max(1, outputs * all)}>;
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let segment = 0u;
  let first = group.x * ${outputs}u;
  let n = ${width}u;
  ${body}
  ${hidden.join('\n')}
  workgroupBarrier();
  let row = first + local;
  if (local < ${outputs}u && row < n) {
    var sum = sumOf(local);
    for (var j = 0u; j < ${all}u; j++) { sum += hiddenOf[j] * factorsOf[local * ${all}u + j]; }
    out[p.outAt + row] = h[p.hAt + row] + sum + side[p.sideAt + p.biasAt0 + row] + side[p.sideAt + p.biasAt1 + row];
  }
}`,
    };
  });
}

/** out = h + dense(attended) + fc2(activated), the parts of the adapters' hidden rows following `attended`. */
export function sumBranches(
  engine: Engine,
  args: DecodeBlockArgs,
  { tensor: side, at }: BlockScales,
  {
    attended,
    activated,
    factors,
  }: Record<'attended' | 'activated', Tensor> & {
    factors: Tensor | null;
  },
): void {
  const { h, out, dense, fc2 } = args;
  const shape = shapeOf(args);
  const params = {
    ...{ b0: dense.update?.b.offset ?? 0, b1: fc2.update?.b.offset ?? 0 },
    ...{ scalesAt0: at.dense.scales, scalesAt1: at.fc2.scales },
    ...{ biasAt0: at.dense.bias, biasAt1: at.fc2.bias },
    ...{ lowScale0: dense.update?.scaling ?? 0, lowScale1: fc2.update?.scaling ?? 0 },
  };
  const [codes0, codes1] = [dense, fc2].map(({ weight }) => (weight as Nf4Weight).codes);
  const tensors = {
    ...{ x0: attended, x1: activated, codes0, codes1 },
    ...{ side, factors: factors ?? side, h, out },
  };
  const groups = Math.ceil(h.size / planOf(shape.widths, ROWS).outputs);
  engine.recorder.dispatch(sumKernel(shape), tensors, params, [groups]);
}
