import type { DecodeBlockArgs, Nf4Weight, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { Memo } from '../memo.js';
import { each } from '../wgsl/half-row.js';
import { slicesOf } from './attention.js';
import type { BlockScales } from './block-scales.js';
import { OUTPUTS, planOf, type RowsTerm, rowSums, THREADS } from './rows.js';
import { MOST_RANKS, rankOf } from './suits.js';

const kernels = new Memo<KernelSpec>();

interface Shape {
  readonly width: number;
  readonly inner: number;
  readonly blockSizes: readonly [number, number];
}

function sumKernel({ width, inner, blockSizes }: Shape): KernelSpec {
  const key = `decode: dense and fc2 ${width}x${inner} ${blockSizes}`;
  return kernels.get(key, () => {
    const plan = planOf([width, inner]);
    const terms = [width, inner].map(
      (size, t): RowsTerm => ({
        ...{ width: size, blockSize: blockSizes[t], codes: [`codes${t}`] },
        x: (at) => `(p.x${t}At + ${at}) / 4u`,
        scales: `p.sideAt + p.scalesAt${t}`,
      }),
    );
    const { declarations, body } = rowSums(plan, terms, {
      meanwhile: /* wgsl */ `
  for (var j = local; j < p.rank0 + p.rank1; j += ${THREADS}u) {
    let ofFirst = j < p.rank0;
    let rank = select(p.rank1, p.rank0, ofFirst);
    let count = select(p.slices, p.heads, ofFirst);
    let begin = p.x0At + ${width}u + select(p.heads * p.rank0 + j - p.rank0, j, ofFirst);
    var sum = 0.0;
    for (var i = 0u; i < count; i++) { sum += x0[(begin + i * rank) / 4u][(begin + i * rank) % 4u]; }
    hiddenOf[j] = sum * select(p.lowScale1, p.lowScale0, ofFirst);
  }`,
      added: each(
        2,
        (t) => /* wgsl */ `
  for (var j = lane; j < p.rank${t}; j += ${plan.lanes}u) {
    let hidden = hiddenOf[${t === 0 ? '' : 'p.rank0 + '}j];
    ${each(OUTPUTS, (o) => `sum${o} += hidden * factors[p.b${t} + min(first + own + ${o}u, n - 1u) * p.rank${t} + j];`)}
  }`,
      ),
    });
    const names = ['rank', 'b', 'scalesAt', 'biasAt', 'lowScale'];
    const params = names.flatMap((name) =>
      [0, 1].map((t) => [`${name}${t}`, name === 'lowScale' ? 'f32' : 'u32'] as const),
    );
    return {
      key,
      bindings: {
        ...{ x0: read('vec4f'), x1: read('vec4f'), codes0: read('u32'), codes1: read('u32') },
        ...{ side: read(), factors: read(), h: read(), out: write() },
      },
      params: { ...Object.fromEntries(params), heads: 'u32', slices: 'u32' },
      body: /* wgsl */ `${declarations}
var<workgroup> hiddenOf: array<f32, ${MOST_RANKS}>;
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let segment = 0u;
  let first = group.x * ${plan.outputs}u;
  let n = ${width}u;
  ${body}
  for (var e = local; e < ${plan.outputs}u; e += ${THREADS}u) {
    let row = first + e;
    if (row < n) {
      out[p.outAt + row] = h[p.hAt + row] + sumOf(e) + side[p.sideAt + p.biasAt0 + row] + side[p.sideAt + p.biasAt1 + row];
    }
  }
}`,
    };
  });
}

/** out = h + dense(attended) + fc2(activated), the adapters' hidden rows following `attended`. */
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
  const { h, out, dense, fc2, heads } = args;
  const [weight0, weight1] = [dense.weight, fc2.weight] as [Nf4Weight, Nf4Weight];
  const [width, inner] = weight1.shape;
  const blockSizes = [weight0.blockSize, weight1.blockSize] as const;
  const params = {
    ...{ heads, slices: slicesOf(args) },
    ...{ rank0: rankOf(args, 'dense'), rank1: rankOf(args, 'fc2') },
    ...{ b0: dense.update?.b.offset ?? 0, b1: fc2.update?.b.offset ?? 0 },
    ...{ scalesAt0: at.dense.scales, scalesAt1: at.fc2.scales },
    ...{ biasAt0: at.dense.bias, biasAt1: at.fc2.bias },
    ...{ lowScale0: dense.update?.scaling ?? 0, lowScale1: fc2.update?.scaling ?? 0 },
  };
  const tensors = {
    ...{ x0: attended, x1: activated, codes0: weight0.codes, codes1: weight1.codes },
    ...{ side, factors: factors ?? side, h, out },
  };
  const kernel = sumKernel({ width, inner, blockSizes });
  const groups = Math.ceil(width / planOf([width, inner]).outputs);
  engine.recorder.dispatch(kernel, tensors, params, [groups]);
}
