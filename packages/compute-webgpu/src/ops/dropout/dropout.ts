import { bitsThreshold, checkDropout, type DropoutArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';

/** `counterKey` and `counterBits` of compute's random.ts. */
const COUNTER = /* wgsl */ `
fn mix32(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}
fn counterBits(index: u32) -> u32 {
  let key = mix32(seed[p.seedAt] + 0x9e3779b9u);
  return mix32(mix32(index + key) ^ mix32((p.stream ^ key) + 0x85ebca6bu));
}`;

function dropoutKernel(
  accumulate: boolean,
): KernelSpec<'x' | 'seed' | 'out', 'size' | 'first' | 'stream' | 'threshold' | 'scale'> {
  const sum = accumulate ? 'out[p.outAt + i] + value' : 'value';
  return {
    key: accumulate ? 'dropout, accumulated' : 'dropout',
    bindings: { x: read(), seed: read('u32'), out: write() },
    params: { size: 'u32', first: 'u32', stream: 'u32', threshold: 'u32', scale: 'f32' },
    merges: true,
    body: eachElement(
      /* wgsl */ `
  let value = select(0.0, x[p.xAt + i] * p.scale, counterBits(p.first + i) >= p.threshold);
  out[p.outAt + i] = ${sum};`,
      COUNTER,
    ),
  };
}

const DROPOUT = dropoutKernel(false);
const DROPOUT_ACCUMULATED = dropoutKernel(true);

export function dropout(engine: Engine, args: DropoutArgs): void {
  checkDropout(args);
  const { x, out, probability, stream, first = 0, accumulate } = args;
  const seed = engine.maskSeed.get(args.seed);
  const threshold = bitsThreshold(probability);
  const scale = 1 / (1 - probability);
  const params = { size: x.size, first, stream, threshold, scale };
  const kernel = accumulate ? DROPOUT_ACCUMULATED : DROPOUT;
  engine.recorder.dispatch(kernel, { x, seed, out }, params, flatGroups(Math.ceil(x.size / WIDTH)));
}
