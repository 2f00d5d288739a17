// Times quantization and dequantization on one core, best and median of five:
//
//   pnpm --filter @qlorajs/quant-nf4 build && node packages/quant-nf4/bench/speed.mjs 100e6
import { createNf4Quantizer, dequantizeNf4, quantizeNf4 } from '../dist/index.js';

const count = Number(process.argv[2] ?? 100e6);
const values = new Float32Array(count);
let state = 12345;
for (let i = 0; i < count; i += 1) {
  let sum = 0; // four uniform values: close enough to normal for branches to behave as on weights
  for (let k = 0; k < 4; k += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    sum += state / 2 ** 31;
  }
  values[i] = sum * 0.02;
}

function time(name, run) {
  const seconds = Array.from({ length: 5 }, () => {
    const start = performance.now();
    run();
    return (performance.now() - start) / 1000;
  }).sort((a, b) => a - b);
  const [best, , median] = seconds;
  console.log(`${name}: best ${best.toFixed(2)} s, median ${median.toFixed(2)} s`);
}

const shape = [count];
const tensor = quantizeNf4(values, { shape });
console.log(`${count / 1e6} M values, Node ${process.version}`);
time('quantizeNf4', () => quantizeNf4(values, { shape }));
time('createNf4Quantizer, pieces of 1 M', () => {
  const quantizer = createNf4Quantizer({ shape });
  for (let at = 0; at < count; at += 1e6) quantizer.push(values.subarray(at, at + 1e6));
  quantizer.finish();
});
time('dequantizeNf4 to float32', () => dequantizeNf4(tensor));
time('dequantizeNf4 to float16', () => dequantizeNf4({ ...tensor, dtype: 'float16' }));
time('dequantizeNf4, ranges of 1 M', () => {
  for (let start = 0; start < count; start += 1e6) {
    dequantizeNf4(tensor, { start, end: Math.min(start + 1e6, count) });
  }
});
