import { type ChooseTokenArgs, checkChooseToken } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { WIDTH } from '../wgsl/flat.js';

/** Largest finite f32: where a maximum begins. */
const LOWEST = '-3.4028234e38';

/**
 * Scores are compared as integers in the order of the floats, so that NaN and infinities are what they
 * are on the host; a compiler may assume that floats are neither. A NaN counts as the lowest, but at 0 as
 * the highest.
 */
function chooseKernel(penalized: boolean): KernelSpec {
  const score = penalized
    ? 'select(value, value * select(p.more, p.less, value > 0.0), seen[p.seenAt + i] == 1i)'
    : 'value';
  return {
    key: `chooseToken${penalized ? ', penalized' : ''}`,
    bindings: {
      logits: read(),
      ...(penalized ? { seen: write('i32') } : {}),
      ...{ id: write('i32'), chosen: write() },
    },
    params: { size: 'u32', limit: 'u32', less: 'f32', more: 'f32' },
    body: /* wgsl */ `
var<workgroup> orders: array<u32, ${WIDTH}>;
var<workgroup> places: array<u32, ${WIDTH}>;
var<workgroup> largest: array<f32, ${WIDTH}>;
var<workgroup> sums: array<f32, ${WIDTH}>;
fn isNan(bits: u32) -> bool { return (bits & 0x7fffffffu) > 0x7f800000u; }
fn orderOf(score: f32, i: u32) -> u32 {
  let bits = bitcast<u32>(score);
  if (isNan(bits)) { return select(0u, 0xffffffffu, i == 0u); }
  if (bits == 0x80000000u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}
@compute @workgroup_size(${WIDTH})
fn main(@builtin(local_invocation_index) local: u32) {
  var order = 0u;
  var place = 0u;
  var most = ${LOWEST};
  var sum = 0.0;
  for (var i = local; i < p.size; i += ${WIDTH}u) {
    let value = logits[p.logitsAt + i];
    if (i < p.limit) {
      let here = orderOf(${score}, i);
      if (here > order || i == local) { order = here; place = i; }
    }
    let grown = max(most, value);
    sum = sum * exp(most - grown) + exp(value - grown);
    most = grown;
  }
  orders[local] = order;
  places[local] = select(place, p.limit, local >= p.limit);
  largest[local] = most;
  sums[local] = sum;
  for (var step = ${WIDTH / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (local < step) {
      let other = local + step;
      if (places[other] < p.limit && (orders[other] > orders[local] || (orders[other] == orders[local] && places[other] < places[local]))) {
        orders[local] = orders[other];
        places[local] = places[other];
      }
      let grown = max(largest[local], largest[other]);
      sums[local] = sums[local] * exp(largest[local] - grown) + sums[other] * exp(largest[other] - grown);
      largest[local] = grown;
    }
  }
  if (local == 0u) {
    let best = places[0];
    id[p.idAt] = i32(best);
    chosen[p.chosenAt] = f32(best);
    chosen[p.chosenAt + 1u] = logits[p.logitsAt + best] - largest[0] - log(sums[0]);
    ${penalized ? 'seen[p.seenAt + best] = 1i;' : ''}
  }
}`,
  };
}

const CHOOSE = chooseKernel(false);
const CHOOSE_PENALIZED = chooseKernel(true);

export function chooseToken(engine: Engine, args: ChooseTokenArgs): void {
  checkChooseToken(args);
  const { logits, seen, penalty, limit, id, chosen } = args;
  const params = { size: logits.size, limit, less: 1 / penalty, more: penalty };
  const tensors = { logits, ...(seen ? { seen } : {}), id, chosen };
  engine.recorder.dispatch(seen ? CHOOSE_PENALIZED : CHOOSE, tensors, params, [1]);
}
