import {
  type Backend,
  counterBits,
  counterKey,
  counterNormal,
  type LinearWeight,
  sizeOf,
  type Tensor,
} from '@qlorajs/compute';

/** Normal values are drawn once and repeated: drawing a weight's worth takes longer than the runs. */
const PERIOD = 262_139;
const blocks = new Map<number, Float32Array>();

function normals(size: number, seed: number, scale: number): Float32Array {
  let block = blocks.get(seed);
  if (!block) {
    const key = counterKey(seed, 7);
    block = Float32Array.from({ length: PERIOD }, (_, i) => counterNormal(key, i));
    blocks.set(seed, block);
  }
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) values[i] = block[i % PERIOD] * scale;
  return values;
}

/** An f32 tensor of normal values. */
export function randomTensor(
  backend: Backend,
  shape: readonly number[],
  seed: number,
  scale = 1,
): Tensor {
  const tensor = backend.empty('f32', shape);
  backend.write(tensor, normals(sizeOf(shape), seed, scale));
  return tensor;
}

export type Kind = 'f32' | 'f16' | 'nf4';

/** A weight `[out, in]`; NF4 with double-quantized scales. */
export function randomWeight(
  backend: Backend,
  kind: Kind,
  shape: readonly [number, number],
  seed: number,
): LinearWeight {
  const size = sizeOf(shape);
  const key = counterKey(seed, 11);
  if (kind === 'f32')
    return { kind: 'dense', shape, values: randomTensor(backend, shape, seed, 0.02) };
  if (kind === 'f16') {
    const bits = new Uint16Array(size);
    for (let i = 0; i < size; i++) {
      const random = counterBits(key, i);
      bits[i] = (random & 0x83ff) | ((8 + ((random >>> 16) & 7)) << 10);
    }
    const values = backend.empty('f16', shape);
    backend.write(values, bits);
    return { kind: 'dense', shape, values };
  }
  const bytes = (count: number, from: number) => {
    const values = new Uint8Array(count);
    for (let i = 0; i < count; i++) values[i] = counterBits(key, from + i) & 255;
    const tensor = backend.empty('u8', [count]);
    backend.write(tensor, values);
    return tensor;
  };
  const scales = size / 64;
  const codeMap = backend.empty('f32', [256]);
  backend.write(
    codeMap,
    Float32Array.from({ length: 256 }, (_, i) => (i - 127.5) / 128),
  );
  return {
    kind: 'nf4',
    shape,
    blockSize: 64,
    codes: bytes(size / 2, 0),
    scales: {
      kind: 'double',
      codes: bytes(scales, size),
      absmax: randomTensor(backend, [Math.ceil(scales / 256)], seed + 1, 0.01),
      codeMap,
      offset: 0.0625,
      blockSize: 256,
    },
  };
}
