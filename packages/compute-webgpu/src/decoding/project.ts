import type { DecodeBlockArgs, Nf4Weight, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { Memo } from '../memo.js';
import { LOGISTIC } from '../ops/gelu/gelu.js';
import { each } from '../wgsl/half-row.js';
import type { BlockScales } from './block-scales.js';
import { eachShare, planOf, type RowsTerm, rowSums, sharedFloats } from './rows.js';
import { READERS, rankOf } from './suits.js';

/** Rows of a thread: with more, the last workgroups leave processors idle. */
const ROWS = 4;

const kernels = new Memo<KernelSpec>();

interface Shape {
  readonly width: number;
  readonly inner: number;
  readonly blockSize: number;
  /** The largest of the adapter's. */
  readonly rank: number;
}

const termOf = ({ width, blockSize }: Shape): RowsTerm => ({
  ...{ width, blockSize, codes: READERS.map((name) => `${name}Codes`) },
  x: (at) => `(p.x0At + ${at}) / 4u`,
  scales: 'p.sideAt + scalesAt',
});

function shapeOf(args: DecodeBlockArgs): Shape {
  const [inner, width] = args.fc1.weight.shape;
  const { blockSize } = args.fc1.weight as Nf4Weight;
  return { width, inner, blockSize, rank: Math.max(...READERS.map((name) => rankOf(args, name))) };
}

/** Floats of workgroup memory that {@link project} takes. */
export function projectFloats(args: DecodeBlockArgs): number {
  const shape = shapeOf(args);
  const plan = planOf([shape.width], ROWS);
  return sharedFloats(plan, [termOf(shape)]) + plan.outputs * shape.rank;
}

/** Workgroups of each layer, which has rows of its own in `out`: q, k, v, then gelu_new of fc1. */
function projectKernel(shape: Shape): KernelSpec {
  const { width, inner, blockSize, rank: mostRanks } = shape;
  const key = `decode: q, k, v, fc1 ${width}x${inner} ${blockSize} rank ${mostRanks}`;
  return kernels.get(key, () => {
    const plan = planOf([width], ROWS);
    const { outputs, threads } = plan;
    const last = READERS.length - 1;
    const updates = eachShare(
      outputs * mostRanks,
      threads,
      (e) => /* wgsl */ `if (${e} < ${outputs}u * rank) {
      let j = ${e} % rank;
      let hidden = x0[(p.x0At + ${width}u + hiddenAt + j) / 4u][(hiddenAt + j) % 4u];
      updates[${e}] = hidden * factors[bAt + min(first * rank + ${e}, n * rank - 1u)];
    }`,
    );
    const { declarations, body } = rowSums(plan, [termOf(shape)], updates);
    const names = ['rank', 'hiddenAt', 'bAt', 'scalesAt', 'biasAt', 'lowScale'];
    const params = names.flatMap((name) =>
      READERS.map((_, i) => [`${name}${i}`, name === 'lowScale' ? 'f32' : 'u32'] as const),
    );
    const groups = Math.ceil(width / outputs);
    const ofSegment = (name: string) =>
      `var ${name} = p.${name}0;\n${each(last, (i) => `if (segment == ${i + 1}u) { ${name} = p.${name}${i + 1}; }`)}`;
    return {
      key,
      bindings: {
        x0: read('vec4f'),
        ...Object.fromEntries(READERS.map((name) => [`${name}Codes`, read('u32')])),
        ...{ side: read(), factors: read(), out: write() },
      },
      params: Object.fromEntries(params),
      body: /* wgsl */ `${LOGISTIC}${declarations}
var<workgroup> updates: array<f32, ${Math.max(1, outputs * mostRanks)}>;
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let segment = min(group.x / ${groups}u, ${last}u);
  let first = (group.x - segment * ${groups}u) * ${outputs}u;
  let n = select(${width}u, ${inner}u, segment == ${last}u);
  ${names.map(ofSegment).join('\n')}
  ${body}
  let row = first + local;
  if (local < ${outputs}u && row < n) {
    var update = 0.0;
    for (var j = 0u; j < rank; j++) { update += updates[local * rank + j]; }
    let sum = sumOf(local) + side[p.sideAt + biasAt + row] + update * lowScale;
    out[p.outAt + segment * ${width}u + row] = select(sum, sum * logisticOf(sum, 1.0), segment == ${last}u);
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
  const shape = shapeOf(args);
  const { outputs } = planOf([shape.width], ROWS);
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
  const groups = 3 * Math.ceil(shape.width / outputs) + Math.ceil(shape.inner / outputs);
  engine.recorder.dispatch(projectKernel(shape), tensors, params, [groups]);
}
