import { bitsThreshold, checkDropout, counterKey, type DropoutArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';

/** `counterBits` of compute's random.ts. */
const COUNTER = /* wgsl */ `
fn mix32(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}
fn counterBits(index: u32) -> u32 {
  return mix32(mix32(index + p.first) ^ p.second);
}`;

function dropoutKernel(
  accumulate: boolean,
): KernelSpec<'x' | 'out', 'size' | 'first' | 'second' | 'threshold' | 'scale'> {
  const sum = accumulate ? 'out[p.outAt + i] + value' : 'value';
  return {
    key: accumulate ? 'dropout, accumulated' : 'dropout',
    bindings: { x: read(), out: write() },
    params: { size: 'u32', first: 'u32', second: 'u32', threshold: 'u32', scale: 'f32' },
    merges: true,
    body: eachElement(
      /* wgsl */ `
  let value = select(0.0, x[p.xAt + i] * p.scale, counterBits(i) >= p.threshold);
  out[p.outAt + i] = ${sum};`,
      COUNTER,
    ),
  };
}

const DROPOUT = dropoutKernel(false);
const DROPOUT_ACCUMULATED = dropoutKernel(true);

export function dropout(engine: Engine, args: DropoutArgs): void {
  checkDropout(args);
  const { x, out, probability, seed, stream, accumulate } = args;
  const threshold = bitsThreshold(probability);
  const scale = 1 / (1 - probability);
  const { first, second } = counterKey(seed, stream);
  // The index of an element is added to the first key.
  const start = first + (args.first ?? 0);
  const params = { size: x.size, first: start, second, threshold, scale };
  const kernel = accumulate ? DROPOUT_ACCUMULATED : DROPOUT;
  engine.recorder.dispatch(kernel, { x, out }, params, flatGroups(Math.ceil(x.size / WIDTH)));
}
