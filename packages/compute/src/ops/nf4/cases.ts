import { counterBits, counterKey } from '../../random.js';
import { type OpCase, randomValues } from '../../testing/op-case.js';
import { NF4_THRESHOLDS } from '../../weight.js';
import { STORED_BYTES, type StoredDType } from './op.js';

/** Values that decide: exact thresholds beside an absmax of 1, zeros of both signs, a block of zeros. */
function edges(): Float32Array {
  const values = new Float32Array(192);
  values.set([1, ...NF4_THRESHOLDS, -0, 0, -1], 0);
  values.set([...NF4_THRESHOLDS].map((each) => each * 2 ** -20).concat(2 ** -20), 64);
  return values;
}

function bytesOf(values: Float32Array, dtype: StoredDType): Uint8Array {
  const bits = new Uint32Array(values.buffer, 0, values.length);
  if (dtype === 'f32') return new Uint8Array(bits.slice().buffer);
  if (dtype === 'bf16') return new Uint8Array(Uint16Array.from(bits, (each) => each >>> 16).buffer);
  throw new Error('unreachable');
}

/** f16 bits of any finite value, subnormals among them. */
function anyHalves(count: number, seed: number): Uint8Array {
  const key = counterKey(seed, 17);
  const halves = Uint16Array.from({ length: count }, (_, i) => {
    const random = counterBits(key, i);
    // One block in four is of small values, of which many are subnormal.
    const exponent = (random >>> 16) % (i % 256 < 64 ? 3 : 31);
    return (random & 0x83ff) | (exponent << 10);
  });
  return new Uint8Array(halves.buffer);
}

function quantizeCase(name: string, dtype: StoredDType, bytes: Uint8Array, block = 64): OpCase {
  const count = bytes.length / STORED_BYTES[dtype];
  return {
    op: 'quantizeNf4',
    name: `quantizeNf4 ${dtype}, ${name}`,
    async run(backend) {
      const stored = backend.empty('u8', [bytes.length]);
      backend.write(stored, bytes);
      const codes = backend.empty('u8', [Math.ceil(count / 2)]);
      const absmax = backend.empty('f32', [Math.ceil(count / block)]);
      backend.ops.quantizeNf4({ stored, dtype, blockSize: block, codes, absmax });
      const outputs = {
        codes: Float32Array.from(await backend.readIntegers(codes)),
        absmax: await backend.read(absmax),
      };
      for (const tensor of [stored, codes, absmax]) backend.free(tensor);
      return outputs;
    },
  };
}

export function quantizeCases(): OpCase[] {
  return [
    quantizeCase('edges', 'f32', bytesOf(edges(), 'f32')),
    quantizeCase('an odd count', 'f32', bytesOf(randomValues(2 * 64 + 27, 1, 0.02), 'f32')),
    quantizeCase('blocks of 128', 'f32', bytesOf(randomValues(640, 2, 30), 'f32'), 128),
    quantizeCase('every exponent', 'f16', anyHalves(64 * 70, 3)),
    quantizeCase('a partial block', 'f16', anyHalves(64 * 5 + 6, 4)),
    quantizeCase('normal values', 'bf16', bytesOf(randomValues(64 * 300, 5, 0.02), 'bf16')),
  ];
}
