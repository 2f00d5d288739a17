import type { DecodeBlockArgs, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { Memo } from '../memo.js';
import { REDUCE, WIDTH } from '../wgsl/flat.js';
import { each, groupsOf, wide } from '../wgsl/half-row.js';
import { READERS, rankOf } from './suits.js';

const kernels = new Memo<KernelSpec>();

/**
 * Workgroup 0 writes the normalized row; every other one normalizes it too and multiplies it by a row
 * of an adapter's A: both at once take less than one after the other.
 */
function normKernel(width: number): KernelSpec {
  const key = `decode: norm and adapters down, ${width}`;
  const count = groupsOf(width);
  const inside = (i: number) => `c${i} < ${width}u`;
  return kernels.get(key, () => ({
    key,
    bindings: { h: wide, weight: wide, bias: wide, factors: read('vec4f'), out: write() },
    params: {
      epsilon: 'f32',
      ...Object.fromEntries(
        READERS.flatMap((_, i) => [
          [`end${i}`, 'u32'],
          [`a${i}`, 'u32'],
        ]),
      ),
    },
    body: /* wgsl */ `${REDUCE}
@compute @workgroup_size(${WIDTH})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let rank = max(group.x, 1u) - 1u;
  var begin = p.a0 + rank * ${width}u;
  ${each(READERS.length - 1, (i) => `if (rank >= p.end${i}) { begin = p.a${i + 1} + (rank - p.end${i}) * ${width}u; }`)}
  ${each(
    count,
    (i) => `let c${i} = 4u * (local + ${i * WIDTH}u);
  var x${i} = vec4f();
  var f${i} = vec4f();
  var gain${i} = vec4f();
  var shift${i} = vec4f();
  if (${inside(i)}) {
    x${i} = h[(p.hAt + c${i}) / 4u];
    gain${i} = weight[(p.weightAt + c${i}) / 4u];
    shift${i} = bias[(p.biasAt + c${i}) / 4u];
    if (group.x > 0u) { f${i} = factors[(begin + c${i}) / 4u]; }
  }`,
  )}
  var sums = vec4f();
  ${each(count, (i) => `sums += x${i};`)}
  let center = reduceSum(sums.x + sums.y + sums.z + sums.w, local) / ${width}.0;
  var squares = vec4f();
  ${each(count, (i) => `{ let d = select(vec4f(), x${i} - center, ${inside(i)}); squares += d * d; }`)}
  let spread = reduceSum(squares.x + squares.y + squares.z + squares.w, local) / ${width}.0;
  let slope = 1.0 / sqrt(spread + p.epsilon);
  var sum = 0.0;
  ${each(
    count,
    (i) => `if (${inside(i)}) {
    let value = (x${i} - center) * slope * gain${i} + shift${i};
    if (group.x == 0u) {
      ${each(4, (c) => `out[p.outAt + c${i} + ${c}u] = value[${c}];`)}
    }
    sum += dot(value, f${i});
  }`,
  )}
  let all = reduceSum(sum, local);
  if (group.x > 0u && local == 0u) { out[p.outAt + ${width}u + group.x - 1u] = all; }
}`,
  }));
}

/** out = [LayerNorm(h), the hidden rows of q, k, v and fc1]. */
export function normDown(
  engine: Engine,
  args: DecodeBlockArgs,
  factors: Tensor | null,
  out: Tensor,
): void {
  const { h, norm, epsilon } = args;
  const params: Record<string, number> = { epsilon };
  let ranks = 0;
  READERS.forEach((name, i) => {
    ranks += rankOf(args, name);
    params[`end${i}`] = ranks;
    params[`a${i}`] = args[name].update?.a.offset ?? 0;
  });
  const tensors = { h, ...norm, factors: factors ?? norm.weight, out };
  engine.recorder.dispatch(normKernel(h.size), tensors, params, [1 + ranks]);
}
