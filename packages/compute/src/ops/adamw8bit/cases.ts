import { tensorFrom } from '../../backend.js';
import { type OpCase, randomTensor, randomValues, readAndFree } from '../../testing/op-case.js';

/** An ascending map of 256 values with its zero at `zero`, dense near it. */
function codeMap(zero: number): number[] {
  return Array.from({ length: 256 }, (_, i) => {
    const x = i <= zero ? (i - zero) / Math.max(1, zero) : (i - zero) / (255 - zero);
    return Math.fround(x * Math.abs(x));
  });
}

/** Three steps from zero moments; codes are compared as numbers. */
function adamw8bit(size: number, weightDecay: number): OpCase {
  return {
    op: 'adamw8bit',
    name: `adamw8bit of ${size}, weight decay ${weightDecay}`,
    async run(backend) {
      const blocks = Math.ceil(size / 256);
      const parameter = randomTensor(backend, [size], 1);
      const gradient = backend.empty('f32', [size]);
      const [codes1, codes2] = [backend.empty('u8', [size]), backend.empty('u8', [size])];
      const [absmax1, absmax2] = [backend.empty('f32', [blocks]), backend.empty('f32', [blocks])];
      const codeMaps = tensorFrom(backend, [...codeMap(127), ...codeMap(0)], [512]);
      const scale = tensorFrom(backend, [0.75], [1]);
      const state = { parameter, gradient, codes1, codes2, absmax1, absmax2 };
      const rates = { learningRate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay };
      for (let step = 1; step <= 3; step++) {
        const values = randomValues(size, 10 + step);
        // A whole block of zeros, and elements without a gradient.
        backend.write(
          gradient,
          values.map((value, i) => (i < 256 && size > 512 ? 0 : i % 5 === 2 ? 0 : value)),
        );
        backend.ops.adamw8bit?.({ ...state, codeMaps, scale, ...rates, step });
      }
      const codes: Record<string, Float32Array> = {};
      for (const [name, tensor] of Object.entries({ codes1, codes2 }))
        codes[name] = Float32Array.from(await backend.readIntegers(tensor));
      const outputs = { parameter, absmax1, absmax2 };
      const all = [...Object.values(state), codeMaps, scale];
      return { ...(await readAndFree(backend, outputs, all)), ...codes };
    },
  };
}

export function adamw8bitCases(): OpCase[] {
  return [1, 7, 1001].flatMap((size) => [adamw8bit(size, 0), adamw8bit(size, 0.1)]);
}
