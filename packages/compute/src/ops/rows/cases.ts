import { integersFrom } from '../../backend.js';
import { type OpCase, randomTensor, readAndFree } from '../../testing/op-case.js';

const WIDTHS = [1, 5, 64, 320];

function rowsCase(op: 'gatherRows' | 'scatterRows' | 'scatterAddRows', width: number): OpCase {
  const ids = op === 'scatterRows' ? [4, -1, 0, 2] : [4, 0, -1, 4, 2, 4, 4];
  return {
    op,
    name: `${op} of width ${width}`,
    async run(backend) {
      const gather = op === 'gatherRows';
      const source = randomTensor(backend, [gather ? 6 : ids.length, width], 1);
      const out = randomTensor(backend, [gather ? ids.length : 6, width], 2);
      const index = integersFrom(backend, ids);
      backend.ops[op]({ source, ids: index, out, width });
      return readAndFree(backend, { out }, [source, out, index]);
    },
  };
}

const halfTable: OpCase = {
  op: 'gatherRows',
  name: 'gatherRows of an f16 table',
  async run(backend) {
    const source = backend.empty('f16', [3, 5]);
    backend.write(
      source,
      Uint16Array.from({ length: 15 }, (_, i) => 0x3000 + 997 * i),
    );
    const out = backend.empty('f32', [4, 5]);
    const ids = integersFrom(backend, [2, 0, -1, 1]);
    backend.ops.gatherRows({ source, ids, out, width: 5 });
    return readAndFree(backend, { out }, [source, out, ids]);
  },
};

export function rowsCases(): OpCase[] {
  const ops = ['gatherRows', 'scatterRows', 'scatterAddRows'] as const;
  return [...ops.flatMap((op) => WIDTHS.map((width) => rowsCase(op, width))), halfTable];
}
