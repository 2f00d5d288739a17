import type { Backend } from '../backend.js';
import { counterBits, counterKey } from '../random.js';
import type { LinearWeight } from '../weight.js';
import { randomTensor, randomValues } from './op-case.js';

export type WeightKind = 'f32' | 'f16' | 'nf4' | 'nf4-double';

function randomBytes(size: number, seed: number): Uint8Array {
  const key = counterKey(seed, 11);
  return Uint8Array.from({ length: size }, (_, i) => counterBits(key, i) & 255);
}

/** f16 bits of finite values in about [-2, 2]: random sign and fraction, exponent 8 to 15. */
function randomHalves(size: number, seed: number): Uint16Array {
  const key = counterKey(seed, 13);
  return Uint16Array.from({ length: size }, (_, i) => {
    const bits = counterBits(key, i);
    return (bits & 0x83ff) | ((8 + ((bits >>> 16) & 7)) << 10);
  });
}

/** A seeded weight `[out, in]` of any kind; the codes are random bytes, the scales are positive. */
export function randomWeight(
  backend: Backend,
  kind: WeightKind,
  shape: readonly [number, number],
  seed: number,
): LinearWeight {
  const size = shape[0] * shape[1];
  if (kind === 'f32')
    return { kind: 'dense', shape, values: randomTensor(backend, shape, seed, 0.1) };
  if (kind === 'f16') {
    const values = backend.empty('f16', shape);
    backend.write(values, randomHalves(size, seed));
    return { kind: 'dense', shape, values };
  }
  const bytes = (values: Uint8Array) => {
    const tensor = backend.empty('u8', [values.length]);
    backend.write(tensor, values);
    return tensor;
  };
  const positive = (count: number, from: number) => {
    const tensor = backend.empty('f32', [count]);
    backend.write(
      tensor,
      randomValues(count, from).map((value) => 0.05 + 0.02 * Math.abs(value)),
    );
    return tensor;
  };
  const blockSize = 64;
  const blocks = Math.ceil(size / blockSize);
  const codes = bytes(randomBytes(Math.ceil(size / 2), seed));
  if (kind === 'nf4')
    return {
      kind: 'nf4',
      shape,
      blockSize,
      codes,
      scales: { kind: 'plain', absmax: positive(blocks, seed + 1) },
    };
  const codeMap = backend.empty('f32', [256]);
  backend.write(
    codeMap,
    Float32Array.from({ length: 256 }, (_, i) => (i - 127.5) / 128),
  );
  return {
    kind: 'nf4',
    shape,
    blockSize,
    codes,
    scales: {
      kind: 'double',
      codes: bytes(randomBytes(blocks, seed + 2)),
      absmax: positive(Math.ceil(blocks / 256), seed + 3),
      codeMap,
      offset: 0.0625,
      blockSize: 256,
    },
  };
}
