import { integersFrom } from '../../backend.js';
import { type OpCase, randomTensor, readAndFree } from '../../testing/op-case.js';

function rotaryCase(heads: number, headDim: number, rotaryDim: number, inverse: boolean): OpCase {
  const positions = [0, 3, 9, 1, 1];
  return {
    op: 'rotary',
    name: `rotary ${rotaryDim} of ${headDim}, ${heads} heads${inverse ? ', inverse' : ''}`,
    async run(backend) {
      const x = randomTensor(backend, [positions.length, heads * headDim], 1);
      const cos = randomTensor(backend, [10, rotaryDim / 2], 2);
      const sin = randomTensor(backend, [10, rotaryDim / 2], 3);
      const ids = integersFrom(backend, positions);
      backend.ops.rotary({ x, positions: ids, cos, sin, heads, headDim, rotaryDim, inverse });
      return readAndFree(backend, { x }, [x, cos, sin, ids]);
    },
  };
}

export function rotaryCases(): OpCase[] {
  return [false, true].flatMap((inverse) => [
    rotaryCase(4, 80, 32, inverse),
    rotaryCase(3, 20, 8, inverse),
    rotaryCase(2, 10, 6, inverse),
    rotaryCase(1, 16, 16, inverse),
  ]);
}
