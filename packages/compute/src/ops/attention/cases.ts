import { type Backend, integersFrom } from '../../backend.js';
import type { Tensor } from '../../tensor.js';
import { type OpCase, randomTensor, randomValues, readAndFree } from '../../testing/op-case.js';
import type { AttentionMask } from './op.js';

interface Setting {
  readonly name: string;
  readonly queryLength: number;
  readonly keyLength: number;
  readonly heads: number;
  readonly headDim: number;
  readonly keyLengths: readonly number[];
  readonly queryStart?: readonly number[];
  readonly firstKeys?: readonly number[];
}

function makeMask(backend: Backend, setting: Setting): { mask: AttentionMask; tensors: Tensor[] } {
  const integers = (values?: readonly number[]) =>
    values ? integersFrom(backend, [...values]) : null;
  const keyLengths = integersFrom(backend, [...setting.keyLengths]);
  const queryStart = integers(setting.queryStart);
  const firstKeys = integers(setting.firstKeys);
  const { queryLength, keyLength, heads, headDim } = setting;
  return {
    mask: {
      batch: setting.keyLengths.length,
      queryLength,
      keyLength,
      heads,
      headDim,
      scale: headDim ** -0.5,
      keyLengths,
      queryStart,
      firstKeys,
    },
    tensors: [keyLengths, queryStart, firstKeys].filter((tensor) => tensor !== null),
  };
}

function forward(setting: Setting): OpCase {
  return {
    op: 'attention',
    name: `attention, ${setting.name}`,
    async run(backend) {
      const { mask, tensors } = makeMask(backend, setting);
      const width = mask.heads * mask.headDim;
      const q = randomTensor(backend, [mask.batch, mask.queryLength, width], 1);
      const k = randomTensor(backend, [mask.batch, mask.keyLength, width], 2);
      const v = randomTensor(backend, [mask.batch, mask.keyLength, width], 3);
      const out = randomTensor(backend, [mask.batch, mask.queryLength, width], 4);
      const logSumExp = backend.empty('f32', [mask.batch, mask.heads, mask.queryLength]);
      backend.ops.attention({ ...mask, q, k, v, out, logSumExp });
      const all = [...tensors, q, k, v, out, logSumExp];
      return readAndFree(backend, { out, logSumExp }, all);
    },
  };
}

/** Scores up to 40 apart, from values that are exact in f16. */
const farApart: OpCase = {
  op: 'attention',
  name: 'attention, scores far apart',
  async run(backend) {
    const [T, headDim] = [90, 80];
    const keyLengths = integersFrom(backend, [T]);
    const make = (seed: number, scale: number) => {
      const tensor = backend.empty('f32', [T, headDim]);
      const values = randomValues(T * headDim, seed, scale);
      backend.write(
        tensor,
        values.map((value) => Math.round(8 * value) / 8),
      );
      return tensor;
    };
    const [q, k, v, out] = [make(1, 4), make(2, 2), make(3, 1), make(4, 1)];
    const logSumExp = backend.empty('f32', [1, 1, T]);
    const shape = { batch: 1, queryLength: T, keyLength: T, heads: 1, headDim };
    const mask = { ...shape, keyLengths, queryStart: null, firstKeys: null, scale: 1 / 8 };
    backend.ops.attention({ ...mask, q, k, v, out, logSumExp });
    return readAndFree(backend, { out, logSumExp }, [keyLengths, q, k, v, out, logSumExp]);
  },
};

function backward(setting: Setting): OpCase {
  return {
    op: 'attentionBackward',
    name: `attentionBackward, ${setting.name}`,
    async run(backend) {
      const { mask, tensors } = makeMask(backend, setting);
      const shape = [mask.batch, mask.queryLength, mask.heads * mask.headDim];
      const [q, k, v, dOut, out, dQ, dK, dV] = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) =>
        randomTensor(backend, shape, seed),
      );
      const perRow = [mask.batch, mask.heads, mask.queryLength];
      const [logSumExp, delta] = [backend.empty('f32', perRow), backend.empty('f32', perRow)];
      backend.ops.attention({ ...mask, q, k, v, out, logSumExp });
      const saved = { dOut, q, k, v, out, logSumExp, delta };
      backend.ops.attentionBackward({ ...mask, ...saved, dQ, dK, dV });
      const all = [...tensors, q, k, v, dOut, out, dQ, dK, dV, logSumExp, delta];
      return readAndFree(backend, { dQ, dK, dV }, all);
    },
  };
}

const TRAINING: readonly Setting[] = [
  { name: 'one token', queryLength: 1, keyLength: 1, heads: 2, headDim: 8, keyLengths: [1] },
  {
    name: 'Phi heads of 80, right padding',
    queryLength: 37,
    keyLength: 37,
    heads: 2,
    headDim: 80,
    keyLengths: [37, 20, 1],
  },
  {
    name: 'longer than a tile',
    queryLength: 150,
    keyLength: 150,
    heads: 1,
    headDim: 16,
    keyLengths: [150, 131],
  },
  {
    name: 'packed documents',
    queryLength: 9,
    keyLength: 9,
    heads: 2,
    headDim: 12,
    keyLengths: [9, 7],
    firstKeys: [0, 0, 0, 3, 3, 3, 3, 7, 7, 0, 0, 2, 2, 2, 5, 5, 5, 5],
  },
  { name: 'odd head', queryLength: 6, keyLength: 6, heads: 3, headDim: 7, keyLengths: [6] },
];

const CACHED: readonly Setting[] = [
  {
    name: 'one query on a cache',
    queryLength: 1,
    keyLength: 70,
    heads: 2,
    headDim: 80,
    keyLengths: [70, 33],
    queryStart: [69, 32],
  },
  {
    name: 'a few queries on a cache',
    queryLength: 4,
    keyLength: 30,
    heads: 2,
    headDim: 20,
    keyLengths: [25, 12],
    queryStart: [21, 8],
  },
  {
    name: 'two queries on a long cache',
    queryLength: 2,
    keyLength: 420,
    heads: 2,
    headDim: 80,
    keyLengths: [400, 130],
    queryStart: [398, 100],
  },
  {
    name: 'packed documents on a long cache',
    queryLength: 1,
    keyLength: 300,
    heads: 1,
    headDim: 8,
    keyLengths: [300],
    queryStart: [299],
    firstKeys: [140],
  },
];

export function attentionCases(): OpCase[] {
  return [...TRAINING, ...CACHED].map(forward).concat(farApart, TRAINING.map(backward));
}
