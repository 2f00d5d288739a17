import { checkQuantizeNf4, NF4_THRESHOLDS, type Ops, type StoredDType } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { type KernelSource, kernel } from '../kernel.js';
import { storeBytes } from './bytes.js';
import { readByte } from './weight.js';

/** Powers of two by the exponent field of a format; the field of infinities and NaN gives infinity. */
function powers(fields: number, bias: number): Float32Array {
  return Float32Array.from({ length: fields }, (_, field) =>
    field === fields - 1 ? Number.POSITIVE_INFINITY : 2 ** (Math.max(1, field) - bias),
  );
}

const POWERS_8 = powers(256, 127);
const POWERS_5 = powers(32, 15);

/** Byte `index` as `name`: statements of their own block, since `readByte` declares names. */
const byteInto = (name: string, index: string) => `
  let ${name} = 0;
  {
    ${readByte('stored', index)}
    ${name} = byte;
  }`;

/** The value of sign, exponent field and fraction; subnormals have no leading one. */
const VALUE = `
  let lead = 1;
  if (field < 0.5) { lead = 0; }
  const magnitude = (lead + fraction) * powers[powersAt + field];
  let value = magnitude;
  if (negative > 0.5) { value = 0 - magnitude; }
  return value;`;

const HEAD = `
  const negative = divide(high, 128);
  const below = high - 128 * negative;`;

const F32 = kernel(
  'decodeF32',
  ['stored', 'powers'],
  [],
  `${byteInto('high', '4 * this.thread.x + 3')}${byteInto('second', '4 * this.thread.x + 2')}
  ${byteInto('third', '4 * this.thread.x + 1')}${byteInto('low', '4 * this.thread.x')}${HEAD}
  const odd = divide(second, 128);
  const field = 2 * below + odd;
  const fraction = ((second - 128 * odd) * 65536 + third * 256 + low) / 8388608;${VALUE}`,
);

const BF16 = kernel(
  'decodeBf16',
  ['stored', 'powers'],
  [],
  `${byteInto('high', '2 * this.thread.x + 1')}${byteInto('second', '2 * this.thread.x')}${HEAD}
  const odd = divide(second, 128);
  const field = 2 * below + odd;
  const fraction = (second - 128 * odd) / 128;${VALUE}`,
);

const F16 = kernel(
  'decodeF16',
  ['stored', 'powers'],
  [],
  `${byteInto('high', '2 * this.thread.x + 1')}${byteInto('second', '2 * this.thread.x')}${HEAD}
  const field = divide(below, 4);
  const fraction = ((below - 4 * field) * 256 + second) / 1024;${VALUE}`,
);

const DECODERS: Readonly<Record<StoredDType, { source: KernelSource; powers: Float32Array }>> = {
  f32: { source: F32, powers: POWERS_8 },
  bf16: { source: BF16, powers: POWERS_8 },
  f16: { source: F16, powers: POWERS_5 },
};

const ABSMAX = kernel(
  'blockAbsmax',
  ['values'],
  ['size', 'blockSize'],
  `
  const first = this.thread.x * blockSize;
  let largest = 0;
  for (let i = 0; i < blockSize; i++) {
    if (first + i < size) { largest = Math.max(largest, Math.abs(values[valuesAt + first + i])); }
  }
  return largest;`,
);

const INVERSE = kernel(
  'inverseAbsmax',
  ['absmax'],
  ['smallest'],
  'return 1 / Math.max(absmax[absmaxAt + this.thread.x], smallest);',
);

/** Two codes a byte: how many thresholds lie strictly below the scaled value. */
const CODES = kernel(
  'nf4Codes',
  ['values', 'inverse', 'thresholds'],
  ['size', 'blockSize'],
  `
  const scale = inverse[inverseAt + divide(2 * this.thread.x, blockSize)];
  let byte = 0;
  for (let half = 0; half < 2; half++) {
    const at = 2 * this.thread.x + half;
    let x = 0;
    if (at < size) { x = Math.fround(values[valuesAt + Math.min(at, size - 1)] * scale); }
    let code = 0;
    for (let i = 0; i < 15; i++) {
      if (x > thresholds[thresholdsAt + i]) { code = code + 1; }
    }
    byte = 16 * byte + code;
  }
  return byte;`,
);

/** bitsandbytes' clamp; a GPU has no numbers below f32's smallest normal one. */
const SMALLEST = { arrays: Math.fround(1e-38), textures: 2 ** -126 };

export function quantizeOps(engine: Engine): Pick<Ops, 'quantizeNf4'> {
  return {
    quantizeNf4(args) {
      const count = checkQuantizeNf4(args);
      const { stored, dtype, blockSize, codes, absmax } = args;
      const { source, powers: table } = DECODERS[dtype];
      const values = engine.run(source, [stored, engine.constant(table)], [], count);
      engine.store(absmax, engine.run(ABSMAX, [values], [count, blockSize], absmax.size));
      const smallest = engine.device.textures ? SMALLEST.textures : SMALLEST.arrays;
      const inverse = engine.run(INVERSE, [absmax], [smallest], absmax.size);
      const operands = [values, inverse, engine.constant(NF4_THRESHOLDS)];
      storeBytes(engine, codes, engine.run(CODES, operands, [count, blockSize], codes.size));
      engine.drop(values, inverse);
    },
  };
}
