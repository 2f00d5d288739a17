import type { Backend } from '../backend.js';
import { integersFrom, tensorFrom } from '../backend.js';
import type { Tensor } from '../tensor.js';
import { type OpCase, randomTensor, randomValues, readAndFree } from '../testing/op-case.js';
import { randomWeight, type WeightKind } from '../testing/weights.js';
import { weightTensors } from '../weight.js';
import type { AdaptedLinear, DecodedLinear } from './decoding.js';

/** A case of {@link Decoding}: nothing of it need be there. */
export type DecodingCase = Pick<OpCase, 'name' | 'run'> & { readonly op: 'block' | 'chooseToken' };

interface Shape {
  readonly kind: WeightKind;
  readonly heads: number;
  readonly headDim: number;
  readonly inner: number;
  readonly capacity: number;
  readonly position: number;
  /** Of the adapter; 0 without. */
  readonly ranks: Partial<Record<DecodedLinear, number>>;
}

/** The adapter's matrices lie side by side, as those of an adapter do. */
function linears(backend: Backend, shape: Shape, all: Tensor[]) {
  const width = shape.heads * shape.headDim;
  const sizes: Record<DecodedLinear, readonly [number, number]> = {
    ...{ q: [width, width], k: [width, width], v: [width, width], dense: [width, width] },
    ...{ fc1: [shape.inner, width], fc2: [width, shape.inner] },
  };
  const names = Object.keys(sizes) as DecodedLinear[];
  const rankOf = (name: DecodedLinear) => shape.ranks[name] ?? 0;
  const total = names.reduce((sum, name) => {
    const [out, from] = sizes[name];
    return sum + rankOf(name) * (out + from);
  }, 0);
  const shared = randomTensor(backend, [Math.max(1, total)], 50, 0.1);
  all.push(shared);
  let used = 0;
  const part = (rows: number, columns: number) => {
    used += rows * columns;
    return backend.view(shared, used - rows * columns, [rows, columns]);
  };
  return Object.fromEntries(
    names.map((name, i): [DecodedLinear, AdaptedLinear] => {
      const [out, from] = sizes[name];
      const weight = randomWeight(backend, shape.kind, sizes[name], 10 * i + 1);
      const bias = randomTensor(backend, [out], 60 + i, 0.1);
      all.push(...weightTensors(weight), bias);
      const rank = rankOf(name);
      const update =
        rank === 0 ? null : { a: part(rank, from), b: part(out, rank), rank, scaling: 0.7 };
      return [name, { weight, bias, update }];
    }),
  ) as Record<DecodedLinear, AdaptedLinear>;
}

function blockCase(shape: Shape): DecodingCase {
  const { heads, headDim, capacity, position: at } = shape;
  const ranks = Object.entries(shape.ranks).map(([name, rank]) => `${name} ${rank}`);
  return {
    op: 'block',
    name: `block of ${heads}x${headDim}, ${shape.kind}, at ${at} of ${capacity}, ranks ${ranks}`,
    async run(backend) {
      const width = heads * headDim;
      const rotaryDim = headDim / 2;
      const all: Tensor[] = [];
      const made = (tensor: Tensor) => {
        all.push(tensor);
        return tensor;
      };
      const random = (size: number, seed: number, scale = 1) =>
        made(randomTensor(backend, [size], seed, scale));
      const angles = randomValues((capacity * rotaryDim) / 2, 80);
      const table = (of: (angle: number) => number) =>
        made(tensorFrom(backend, angles.map(of), [angles.length]));
      const [keys, values] = [random(capacity * width, 81), random(capacity * width, 82)];
      const out = made(backend.empty('f32', [width]));
      const done = backend.decoding?.block({
        ...linears(backend, shape, all),
        ...{ h: random(width, 83), out, keys, values, epsilon: 1e-5, heads, headDim, rotaryDim },
        norm: { weight: random(width, 84), bias: random(width, 85) },
        ...{ cos: table(Math.cos), sin: table(Math.sin) },
        position: made(integersFrom(backend, [at])),
      });
      const outputs = await readAndFree(backend, { out, keys, values }, all);
      return { ...outputs, done: Float32Array.of(done ? 1 : 0) };
    },
  };
}

function chooseCase(
  name: string,
  logits: Float32Array,
  options: {
    readonly seen?: readonly number[];
    readonly penalty?: number;
    readonly limit?: number;
  },
): DecodingCase {
  return {
    op: 'chooseToken',
    name: `chooseToken, ${name}`,
    async run(backend) {
      const { penalty = 1, limit = logits.length } = options;
      const row = tensorFrom(backend, logits, [1, logits.length]);
      const marks = new Int32Array(logits.length);
      for (const id of options.seen ?? []) marks[id] = 1;
      const seen = options.seen ? integersFrom(backend, marks) : null;
      const id = integersFrom(backend, [-1]);
      const chosen = backend.empty('f32', [2]);
      backend.decoding?.chooseToken({ logits: row, seen, penalty, limit, id, chosen });
      const ids = [id, ...(seen ? [seen] : [])];
      const integers = await Promise.all(ids.map((each) => backend.readIntegers(each)));
      const outputs = await readAndFree(backend, { chosen }, [row, chosen, ...ids]);
      return {
        // Among NaN there is no log-probability to compare.
        ...(logits.some(Number.isNaN) ? {} : outputs),
        id: Float32Array.from(integers[0]),
        seen: Float32Array.from(integers[1] ?? []),
      };
    },
  };
}

const ROW = randomValues(5000, 90, 3);
const changed = (at: Readonly<Record<number, number>>): Float32Array =>
  ROW.map((value, i) => at[i] ?? value);

/** What an engine with {@link Decoding} must give, compared with the reference. */
export function decodingCases(): DecodingCase[] {
  const small = { kind: 'nf4-double', heads: 2, headDim: 32, inner: 128 } as const;
  return [
    blockCase({ ...small, capacity: 8, position: 0, ranks: {} }),
    blockCase({
      ...small,
      capacity: 300,
      position: 255,
      ranks: { q: 4, k: 8, v: 4, dense: 4, fc2: 32 },
    }),
    blockCase({
      ...{ kind: 'nf4', heads: 4, headDim: 80, inner: 1280, capacity: 40, position: 21 },
      ranks: { q: 16, v: 16, fc1: 4, fc2: 8 },
    }),
    chooseCase('no penalty', ROW, {}),
    chooseCase('of ties the first', changed({ 700: 50, 4111: 50, 699: 49 }), {}),
    chooseCase('signed zeros are equal', new Float32Array(600).fill(-0).fill(0, 300), {}),
    chooseCase('all -Infinity', new Float32Array(300).fill(-Infinity).fill(1, 299), { limit: 299 }),
    chooseCase('a NaN is never larger', changed({ 0: -40, 5: Number.NaN, 3333: Number.NaN }), {}),
    chooseCase('nothing is larger than a NaN at 0', changed({ 0: Number.NaN }), {}),
    chooseCase('a limit', changed({ 4000: 90, 3999: 80 }), { limit: 4000 }),
    chooseCase('a penalty', changed({ 10: 20, 11: 18, 12: 17 }), { seen: [10, 4], penalty: 1.2 }),
    chooseCase('negative logits and a penalty', new Float32Array(400).fill(-2).fill(-1.9, 7, 9), {
      seen: [7, 399],
      penalty: 1.5,
    }),
  ];
}
