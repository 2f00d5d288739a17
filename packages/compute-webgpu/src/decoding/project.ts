import type { DecodeBlockArgs, Nf4Weight, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { Memo } from '../memo.js';
import { LOGISTIC } from '../ops/gelu/gelu.js';
import { each } from '../wgsl/half-row.js';
import type { BlockScales } from './block-scales.js';
import { OUTPUTS, planOf, type RowsTerm, rowSums, THREADS } from './rows.js';
import { READERS, rankOf } from './suits.js';

const kernels = new Memo<KernelSpec>();

interface Shape {
  readonly width: number;
  readonly inner: number;
  readonly blockSize: number;
}

/** Workgroups of each layer, which has rows of its own in `out`: q, k, v, then gelu_new of fc1. */
function projectKernel({ width, inner, blockSize }: Shape): KernelSpec {
  const key = `decode: q, k, v, fc1 ${width}x${inner} ${blockSize}`;
  return kernels.get(key, () => {
    const plan = planOf([width]);
    const last = READERS.length - 1;
    const term: RowsTerm = {
      ...{ width, blockSize, codes: READERS.map((name) => `${name}Codes`) },
      x: (at) => `(p.x0At + ${at}) / 4u`,
      scales: 'p.sideAt + scalesAt',
    };
    const { declarations, body } = rowSums(plan, [term], {
      meanwhile: '',
      added: /* wgsl */ `
  for (var j = lane; j < rank; j += ${plan.lanes}u) {
    let hidden = x0[(p.x0At + ${width}u + hiddenAt + j) / 4u][(hiddenAt + j) % 4u] * lowScale;
    ${each(OUTPUTS, (o) => `sum${o} += hidden * factors[bAt + min(first + own + ${o}u, n - 1u) * rank + j];`)}
  }`,
    });
    const names = ['rank', 'hiddenAt', 'bAt', 'scalesAt', 'biasAt', 'lowScale'];
    const params = names.flatMap((name) =>
      READERS.map((_, i) => [`${name}${i}`, name === 'lowScale' ? 'f32' : 'u32'] as const),
    );
    const groups = Math.ceil(width / plan.outputs);
    return {
      key,
      bindings: {
        x0: read('vec4f'),
        ...Object.fromEntries(READERS.map((name) => [`${name}Codes`, read('u32')])),
        ...{ side: read(), factors: read(), out: write() },
      },
      params: Object.fromEntries(params),
      body: /* wgsl */ `${LOGISTIC}${declarations}
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let segment = min(group.x / ${groups}u, ${last}u);
  let first = (group.x - segment * ${groups}u) * ${plan.outputs}u;
  let n = select(${width}u, ${inner}u, segment == ${last}u);
  ${names.map((name) => `var ${name} = p.${name}0;\n${each(last, (i) => `if (segment == ${i + 1}u) { ${name} = p.${name}${i + 1}; }`)}`).join('\n')}
  ${body}
  for (var e = local; e < ${plan.outputs}u; e += ${THREADS}u) {
    if (first + e < n) {
      let sum = sumOf(e) + side[p.sideAt + biasAt + first + e];
      out[p.outAt + segment * ${width}u + first + e] = select(sum, sum * logisticOf(sum, 1.0), segment == ${last}u);
    }
  }
}`,
    };
  });
}

/** out = [q, k, v, gelu_new(fc1)] of the normalized row that `x` begins with; hidden rows follow it. */
export function project(
  engine: Engine,
  args: DecodeBlockArgs,
  { tensor: side, at }: BlockScales,
  { x, factors, out }: { x: Tensor; factors: Tensor | null; out: Tensor },
): void {
  const [inner, width] = args.fc1.weight.shape;
  const { blockSize } = args.fc1.weight as Nf4Weight;
  const { outputs } = planOf([width]);
  const params: Record<string, number> = {};
  let hidden = 0;
  READERS.forEach((name, i) => {
    const { update } = args[name];
    params[`rank${i}`] = rankOf(args, name);
    params[`hiddenAt${i}`] = hidden;
    params[`bAt${i}`] = update?.b.offset ?? 0;
    params[`lowScale${i}`] = update?.scaling ?? 0;
    params[`scalesAt${i}`] = at[name].scales;
    params[`biasAt${i}`] = at[name].bias;
    hidden += rankOf(args, name);
  });
  const codes = READERS.map((name) => [`${name}Codes`, (args[name].weight as Nf4Weight).codes]);
  const tensors = { x0: x, ...Object.fromEntries(codes), side, factors: factors ?? side, out };
  const groups = 3 * Math.ceil(width / outputs) + Math.ceil(inner / outputs);
  engine.recorder.dispatch(projectKernel({ width, inner, blockSize }), tensors, params, [groups]);
}
