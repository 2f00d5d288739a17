import { floats, integers } from '../../reference/storage.js';
import { type LinearWeight, NF4_CODE, type Nf4Weight } from '../../weight.js';
import { checkDequantizeNf4, type DequantizeNf4Args } from './op.js';

/** The scale of every block; double-quantized ones are decoded in f32 as bitsandbytes does. */
function blockScales({ scales }: Nf4Weight): Float64Array {
  if (scales.kind === 'plain') return floats(scales.absmax);
  const codes = integers(scales.codes);
  const [absmax, map] = [floats(scales.absmax), floats(scales.codeMap)];
  return Float64Array.from(codes, (code, i) =>
    Math.fround(Math.fround(map[code] * absmax[Math.floor(i / scales.blockSize)]) + scales.offset),
  );
}

/** `[out, in]`, row-major; every element rounded to f32, as every backend has it. */
export function denseValues(weight: LinearWeight): Float64Array {
  if (weight.kind === 'dense') return floats(weight.values);
  const codes = integers(weight.codes);
  const scales = blockScales(weight);
  const values = new Float64Array(weight.shape[0] * weight.shape[1]);
  for (let i = 0; i < values.length; i++) {
    const code = i % 2 === 0 ? codes[i >> 1] >> 4 : codes[i >> 1] & 15;
    values[i] = Math.fround(NF4_CODE[code] * scales[Math.floor(i / weight.blockSize)]);
  }
  return values;
}

export function dequantizeNf4(args: DequantizeNf4Args): void {
  checkDequantizeNf4(args);
  floats(args.out).set(denseValues(args.weight));
}
