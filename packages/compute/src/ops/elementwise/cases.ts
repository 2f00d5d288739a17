import { type OpCase, randomTensor, readAndFree } from '../../testing/op-case.js';

const SIZES = [1, 6, 1003];

function axpby(size: number, alpha: number, beta: number): OpCase {
  return {
    op: 'axpby',
    name: `axpby of ${size}, ${alpha} and ${beta}`,
    async run(backend) {
      const x = randomTensor(backend, [size], 1);
      const out = randomTensor(backend, [size], 2);
      backend.ops.axpby({ x, out, alpha, beta });
      return readAndFree(backend, { out }, [x, out]);
    },
  };
}

function fill(size: number): OpCase {
  return {
    op: 'fill',
    name: `fill of ${size}`,
    async run(backend) {
      const whole = randomTensor(backend, [size + 2], 1);
      backend.ops.fill({ out: backend.view(whole, 1, [size]), value: -2.5 });
      return readAndFree(backend, { whole }, [whole]);
    },
  };
}

function gelu(size: number): OpCase {
  return {
    op: 'gelu',
    name: `gelu of ${size}`,
    async run(backend) {
      const x = randomTensor(backend, [size], 1, 4);
      const out = backend.empty('f32', [size]);
      backend.ops.gelu({ x, out });
      return readAndFree(backend, { out }, [x, out]);
    },
  };
}

function geluBackward(size: number): OpCase {
  return {
    op: 'geluBackward',
    name: `geluBackward of ${size}, in place`,
    async run(backend) {
      const x = randomTensor(backend, [size], 1, 4);
      const dOut = randomTensor(backend, [size], 2);
      backend.ops.geluBackward({ dOut, x, dX: dOut });
      return readAndFree(backend, { dX: dOut }, [x, dOut]);
    },
  };
}

function dropout(size: number, probability: number, accumulate: boolean, first = 0): OpCase {
  return {
    op: 'dropout',
    name: `dropout ${probability} of ${size}${accumulate ? ', accumulated' : ''}${first ? ` from ${first}` : ''}`,
    async run(backend) {
      const x = randomTensor(backend, [size], 1);
      const out = randomTensor(backend, [size], 2);
      const mask = { probability, seed: 0xfffffff1, stream: 17, first };
      backend.ops.dropout({ x, out, ...mask, accumulate });
      return readAndFree(backend, { out }, [x, out]);
    },
  };
}

export function elementwiseCases(): OpCase[] {
  return SIZES.flatMap((size) => [
    axpby(size, 1, 0),
    axpby(size, -0.5, 1),
    axpby(size, 2, 0.25),
    fill(size),
    gelu(size),
    geluBackward(size),
    dropout(size, 0.05, false),
    dropout(size, 0.5, true),
    dropout(size, 0, false),
    dropout(size, 0.5, false, 1000),
  ]);
}
