import {
  bitsThreshold,
  checkAxpby,
  checkDropout,
  checkFill,
  checkGelu,
  checkGeluBackward,
  counterBits,
  counterKey,
  type DropoutArgs,
  type Ops,
} from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { kernel } from '../kernel.js';

const SCALE = kernel('scale', ['x'], ['alpha'], 'return alpha * x[xAt + this.thread.x];');

const FILL = kernel('fill', [], ['value'], 'return value;');

/**
 * (1 + tanh u) / 2 and 1 - tanh(u)^2 from exp of a negative number: nothing overflows, and nothing
 * cancels where tanh is near 1.
 */
const TANH = `
  const value = x[xAt + this.thread.x];
  const u = ${Math.sqrt(2 / Math.PI)} * (value + 0.044715 * value * value * value);
  const e = Math.exp(-2 * Math.min(40, Math.abs(u)));
  const large = 1 / (1 + e);
  const small = e / (1 + e);
  let half = large;
  if (u < 0) { half = small; }`;

const GELU = kernel('gelu', ['x'], [], `${TANH}\n  return value * half;`);

const GELU_BACKWARD = kernel(
  'geluBackward',
  ['x', 'dOut'],
  [],
  `${TANH}
  const slope = ${Math.sqrt(2 / Math.PI)} * (1 + 3 * 0.044715 * value * value);
  return dOut[dOutAt + this.thread.x] * (half + 2 * value * large * small * slope);`,
);

const MULTIPLY = kernel(
  'multiply',
  ['x', 'mask'],
  [],
  'return x[xAt + this.thread.x] * mask[maskAt + this.thread.x];',
);

/** The counter generator needs 32-bit integers, which kernels do not have: the mask is the host's. */
function maskOf({ x, probability, seed, stream, first = 0 }: DropoutArgs): Float32Array {
  const key = counterKey(seed, stream);
  const threshold = bitsThreshold(probability);
  const scale = 1 / (1 - probability);
  const mask = new Float32Array(x.size);
  for (let i = 0; i < mask.length; i++)
    mask[i] = counterBits(key, first + i) >= threshold ? scale : 0;
  return mask;
}

type ElementwiseOp = 'axpby' | 'fill' | 'gelu' | 'geluBackward' | 'dropout';

/** Operations of an element each. */
export function elementwiseOps(engine: Engine): Pick<Ops, ElementwiseOp> {
  return {
    axpby(args) {
      checkAxpby(args);
      const { x, out, alpha, beta } = args;
      engine.store(out, engine.run(SCALE, [x], [alpha], out.size), beta);
    },
    fill(args) {
      checkFill(args);
      engine.store(args.out, engine.run(FILL, [], [args.value], args.out.size));
    },
    gelu(args) {
      checkGelu(args);
      engine.store(args.out, engine.run(GELU, [args.x], [], args.out.size));
    },
    geluBackward(args) {
      checkGeluBackward(args);
      const { x, dOut, dX } = args;
      engine.store(dX, engine.run(GELU_BACKWARD, [x, dOut], [], dX.size));
    },
    dropout(args) {
      checkDropout(args);
      const { x, out, accumulate } = args;
      engine.store(out, engine.run(MULTIPLY, [x, maskOf(args)], [], x.size), accumulate ? 1 : 0);
    },
  };
}
