// Writes NF4 weights as a bitsandbytes checkpoint, with the values that this package reads from them
// under NAME.expected, for tools/reference/bnb_load_check.py:
//
//   pnpm --filter @qlorajs/quant-nf4 build
//   node packages/quant-nf4/scripts/write-sample.mjs /tmp/sample.safetensors
import { writeFileSync } from 'node:fs';
import { dequantizeNf4, quantizeNf4, toBitsandbytes } from '../dist/index.js';

/** A normal-like value that depends on the index alone; `Math.fround(x * 2 ** -k)` is exact enough. */
function weight(i) {
  let sum = 0;
  for (let k = 1; k <= 4; k += 1) sum += (Math.imul(4 * i + k, 2654435761) >>> 0) / 2 ** 32 - 0.5;
  return sum * 0.05;
}

/** Multiples of 2^-9 in [-0.1, 0.1]: exact in all three dtypes. */
const rounded = (value) => Math.round(value * 512) / 512;

const samples = [
  ['float32', [64, 128], 64, true],
  ['float32', [96, 160], 64, true],
  ['float32', [40, 256], 64, false],
  ['float16', [128, 256], 64, true],
  ['bfloat16', [300, 192], 64, true],
  ['float16', [16, 512], 128, true],
  ['float32', [33, 65], 64, true],
];

const entries = {};
for (const [n, [dtype, shape, blockSize, doubleQuant]] of samples.entries()) {
  const count = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: count }, (_, i) =>
    dtype === 'float32' ? weight(i) : rounded(weight(i)),
  );
  values.fill(0, 0, 64); // a block of zeros
  const name = `layers.${n}.weight`;
  const tensor = quantizeNf4(values, { shape, dtype, blockSize, doubleQuant, name });
  Object.assign(entries, toBitsandbytes(name, tensor));
  entries[`layers.${n}.source`] = { dtype: 'F32', shape, data: values };
  entries[`layers.${n}.expected`] = { dtype: 'F32', shape, data: dequantizeNf4(tensor) };
}

const header = {};
let offset = 0;
for (const [name, { dtype, shape, data }] of Object.entries(entries)) {
  header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
  offset += data.byteLength;
}
const json = new TextEncoder().encode(JSON.stringify(header));
const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
const bytes = Object.values(entries).map(({ data }) =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength),
);
writeFileSync(process.argv[2], Buffer.concat([length, json, ...bytes]));
console.log(`${process.argv[2]}: ${samples.length} weights`);
