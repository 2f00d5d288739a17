// A matrix in 4 bits, as bitsandbytes stores it, in a safetensors file that Python loads.
import { dequantizeNf4, nf4Bytes, quantizeNf4, toBitsandbytes } from '@qlorajs/quant-nf4';
import { bytesSource, openSafetensors, writeSafetensors } from '@qlorajs/safetensors';

const weight = Float32Array.from({ length: 128 * 64 }, (_, i) => Math.sin(i) / 10);
const tensor = quantizeNf4(weight, { shape: [128, 64], name: 'fc1.weight' });
console.log(weight.byteLength, nf4Bytes(tensor)); // 32768 5252
const error = dequantizeNf4(tensor).reduce(
  (most, value, i) => Math.max(most, Math.abs(value - weight[i])),
  0,
);
console.log(error < 0.016); // true

const bytes = writeSafetensors(toBitsandbytes('fc1.weight', tensor));
const file = await openSafetensors(bytesSource(bytes, 'fc1.safetensors'));
console.log([...file.tensors.keys()].length); // 6
