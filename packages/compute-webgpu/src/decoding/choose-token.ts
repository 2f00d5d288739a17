import { type ChooseTokenArgs, checkChooseToken, type Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { WIDTH } from '../wgsl/flat.js';
import { each } from '../wgsl/half-row.js';

/** Logits of a thread, in the first of two kernels. */
const EACH = 4;
const PART = WIDTH * EACH;
/** Where a maximum begins. */
const LOWEST = '-3.4028234e38';

/**
 * Scores are compared as integers in the order of the floats, so that NaN and infinities are what they
 * are on the host; a compiler may assume that floats are neither. A NaN counts as the lowest, but at 0 as
 * the highest. Of what a thread has, `order` and `place` are the best, `most` and `sum` the log-sum-exp.
 */
const REDUCE = /* wgsl */ `
var<workgroup> orders: array<u32, ${WIDTH}>;
var<workgroup> places: array<u32, ${WIDTH}>;
var<workgroup> largest: array<f32, ${WIDTH}>;
var<workgroup> sums: array<f32, ${WIDTH}>;
struct Best { order: u32, place: u32, most: f32, sum: f32 }
const NOTHING = Best(0u, 0xffffffffu, ${LOWEST}, 0.0);
fn orderOf(score: f32, i: u32) -> u32 {
  let bits = bitcast<u32>(score);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return select(1u, 0xffffffffu, i == 0u); }
  if (bits == 0x80000000u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}
fn better(a: Best, b: Best) -> Best {
  var best = a;
  if (b.order > a.order || (b.order == a.order && b.place < a.place)) { best = b; }
  best.most = max(a.most, b.most);
  best.sum = a.sum * exp(a.most - best.most) + b.sum * exp(b.most - best.most);
  return best;
}
fn reduced(mine: Best, local: u32) -> Best {
  var best = mine;
  for (var step = ${WIDTH / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    orders[local] = best.order;
    places[local] = best.place;
    largest[local] = best.most;
    sums[local] = best.sum;
    workgroupBarrier();
    if (local < step) {
      let other = local + step;
      best = better(best, Best(orders[other], places[other], largest[other], sums[other]));
    }
  }
  return best;
}`;

function partKernel(penalized: boolean): KernelSpec {
  const score = penalized
    ? 'select(value, value * select(p.more, p.less, value > 0.0), seen[p.seenAt + i] == 1i)'
    : 'value';
  return {
    key: `chooseToken, parts${penalized ? ', penalized' : ''}`,
    bindings: {
      logits: read(),
      ...(penalized ? { seen: read('i32') } : {}),
      parts: write('vec4u'),
    },
    params: { size: 'u32', limit: 'u32', less: 'f32', more: 'f32' },
    body: /* wgsl */ `${REDUCE}
fn at(i: u32) -> Best {
  if (i >= p.size) { return NOTHING; }
  let value = logits[p.logitsAt + i];
  let most = max(value, ${LOWEST});
  let sum = exp(value - most);
  if (i >= p.limit) { return Best(0u, 0xffffffffu, most, sum); }
  return Best(orderOf(${score}, i), i, most, sum);
}
@compute @workgroup_size(${WIDTH})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group.x * ${PART}u + local;
  ${each(EACH, (i) => `let best${i} = at(first + ${i * WIDTH}u);`)}
  let best = reduced(better(better(best0, best1), better(best2, best3)), local);
  if (local == 0u) {
    parts[p.partsAt / 4u + group.x] = vec4u(best.order, best.place, bitcast<u32>(best.most), bitcast<u32>(best.sum));
  }
}`,
  };
}

function mergeKernel(penalized: boolean): KernelSpec {
  return {
    key: `chooseToken${penalized ? ', penalized' : ''}`,
    bindings: {
      ...{ logits: read(), parts: read('vec4u') },
      ...(penalized ? { seen: write('i32') } : {}),
      ...{ id: write('i32'), chosen: write() },
    },
    params: { count: 'u32' },
    body: /* wgsl */ `${REDUCE}
@compute @workgroup_size(${WIDTH})
fn main(@builtin(local_invocation_index) local: u32) {
  var mine = NOTHING;
  for (var i = local; i < p.count; i += ${WIDTH}u) {
    let part = parts[p.partsAt / 4u + i];
    mine = better(mine, Best(part.x, part.y, bitcast<f32>(part.z), bitcast<f32>(part.w)));
  }
  let best = reduced(mine, local);
  if (local == 0u) {
    id[p.idAt] = i32(best.place);
    chosen[p.chosenAt] = f32(best.place);
    chosen[p.chosenAt + 1u] = logits[p.logitsAt + best.place] - best.most - log(best.sum);
    ${penalized ? 'seen[p.seenAt + best.place] = 1i;' : ''}
  }
}`,
  };
}

const KERNELS = [false, true].map((penalized) => ({
  part: partKernel(penalized),
  merge: mergeKernel(penalized),
}));

export function chooseToken(engine: Engine, args: ChooseTokenArgs): void {
  checkChooseToken(args);
  const { logits, penalty, limit, id, chosen } = args;
  const seen: Record<string, Tensor> = args.seen ? { seen: args.seen } : {};
  const { part, merge } = KERNELS[args.seen ? 1 : 0];
  const count = Math.ceil(logits.size / PART);
  const parts = engine.scratch.get('chosen parts', 'u32', 4 * count);
  const params = { size: logits.size, limit, less: 1 / penalty, more: penalty };
  engine.recorder.dispatch(part, { logits, ...seen, parts }, params, [count]);
  engine.recorder.dispatch(merge, { logits, parts, ...seen, id, chosen }, { count }, [1]);
}
