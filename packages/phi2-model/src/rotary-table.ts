import { type Backend, type Tensor, tensorFrom } from '@qlorajs/compute';
import type { PhiConfig } from './config.js';

/** cos and sin of every position's angles: f32 `[maxPositions, rotaryDim / 2]`. */
export interface RotaryTable {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Angles as transformers computes them: inverse frequencies and their products with the position are
 * rounded to f32 before cos and sin, because far positions feel that rounding.
 */
export function createRotaryTable(backend: Backend, config: PhiConfig): RotaryTable {
  const half = config.rotaryDim / 2;
  const size = config.maxPositions * half;
  const [cos, sin] = [new Float32Array(size), new Float32Array(size)];
  for (let i = 0; i < half; i++) {
    const exponent = Math.fround((2 * i) / config.rotaryDim);
    const frequency = Math.fround(1 / Math.fround(config.ropeTheta ** exponent));
    for (let position = 0; position < config.maxPositions; position++) {
      const angle = Math.fround(position * frequency);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  const shape = [config.maxPositions, half];
  return {
    cos: tensorFrom(backend, cos, shape, 'rotary.cos'),
    sin: tensorFrom(backend, sin, shape, 'rotary.sin'),
  };
}
