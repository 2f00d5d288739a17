import { type Backend, integersFrom, type Ops, type Tensor } from '@qlorajs/compute';
import { randomTensor, randomWeight } from '@qlorajs/compute/testing';

/** Tokens of the batch, and phi-nano's sizes. */
const TOKENS = 64;
const CHANNELS = 320;
const HEADS = 4;
const VOCABULARY = 8256;

interface Call {
  readonly name: string;
  run(ops: Ops): void;
}

/** The operations of a block of phi-nano and of its head, forward and backward, with an adapter on one layer. */
function callsOf(backend: Backend): Call[] {
  const make = (...shape: number[]): Tensor => randomTensor(backend, shape, 1, 0.1);
  const nf4 = (out: number, inF: number) => randomWeight(backend, 'nf4-double', [out, inF], 2);
  const [x, y, z] = [make(TOKENS, CHANNELS), make(TOKENS, CHANNELS), make(TOKENS, CHANNELS)];
  const [q, k, v, dQ, dK, dV] = [1, 2, 3, 4, 5, 6].map(() => make(TOKENS, CHANNELS));
  const [wide, dWide] = [make(TOKENS, 4 * CHANNELS), make(TOKENS, 4 * CHANNELS)];
  const [gain, shift] = [make(CHANNELS), make(CHANNELS)];
  const [mean, rstd] = [make(TOKENS), make(TOKENS)];
  const [square, up, down] = [nf4(320, 320), nf4(1280, 320), nf4(320, 1280)];
  const head = {
    kind: 'dense',
    shape: [VOCABULARY, CHANNELS],
    values: make(VOCABULARY, CHANNELS),
  } as const;
  const logits = make(TOKENS, VOCABULARY);
  const [losses, norm] = [make(TOKENS), make(1)];
  const labels = integersFrom(
    backend,
    Array.from({ length: TOKENS }, (_, i) => 7 * i),
  );
  const [a, b, hidden] = [make(16, CHANNELS), make(CHANNELS, 16), make(TOKENS, 16)];
  const [angles, positions] = [
    make(TOKENS, 16),
    integersFrom(
      backend,
      Array.from({ length: TOKENS }, (_, i) => i),
    ),
  ];
  const mask = {
    ...{
      batch: 1,
      queryLength: TOKENS,
      keyLength: TOKENS,
      heads: HEADS,
      headDim: CHANNELS / HEADS,
    },
    ...{
      scale: 0.1,
      keyLengths: integersFrom(backend, [TOKENS]),
      queryStart: null,
      firstKeys: null,
    },
  };
  const [logSumExp, delta] = [make(HEADS, TOKENS), make(HEADS, TOKENS)];
  const linear = (
    name: string,
    from: Tensor,
    weight: typeof square | typeof head,
    out: Tensor,
  ): Call => ({
    name,
    run: (ops) => ops.linear({ x: from, weight, bias: null, out, accumulate: false }),
  });
  const back = (
    name: string,
    dOut: Tensor,
    weight: typeof square | typeof head,
    dX: Tensor,
  ): Call => ({
    name,
    run: (ops) => ops.linearBackward({ dOut, weight, dX, accumulate: false }),
  });
  const product = { transposeA: false, transposeB: true, alpha: 1, beta: 0 };
  const rotary = { positions, cos: angles, sin: angles, heads: HEADS, headDim: 80, rotaryDim: 32 };
  return [
    {
      name: 'layerNorm',
      run: (ops) =>
        ops.layerNorm({ x, weight: gain, bias: shift, epsilon: 1e-5, out: y, mean, rstd }),
    },
    linear('linear NF4 320 to 320', y, square, q),
    linear('linear NF4 320 to 320', y, square, k),
    linear('linear NF4 320 to 320', y, square, v),
    {
      name: 'matmul (LoRA)',
      run: (ops) =>
        ops.matmul({ ...product, a: y, b: a, out: hidden, m: TOKENS, n: 16, k: CHANNELS }),
    },
    {
      name: 'matmul (LoRA)',
      run: (ops) =>
        ops.matmul({ ...product, a: hidden, b, out: q, m: TOKENS, n: CHANNELS, k: 16, beta: 1 }),
    },
    {
      name: 'dropout',
      run: (ops) =>
        ops.dropout({ x: y, out: z, probability: 0.05, seed: 1, stream: 2, accumulate: false }),
    },
    { name: 'rotary', run: (ops) => ops.rotary({ x: q, ...rotary, inverse: false }) },
    { name: 'rotary', run: (ops) => ops.rotary({ x: k, ...rotary, inverse: false }) },
    { name: 'attention', run: (ops) => ops.attention({ ...mask, q, k, v, out: z, logSumExp }) },
    linear('linear NF4 320 to 320', z, square, x),
    linear('linear NF4 320 to 1280', y, up, wide),
    { name: 'gelu', run: (ops) => ops.gelu({ x: wide, out: dWide }) },
    linear('linear NF4 1280 to 320', dWide, down, z),
    { name: 'axpby', run: (ops) => ops.axpby({ x: z, out: x, alpha: 1, beta: 1 }) },
    linear('linear f32 320 to 8256', x, head, logits),
    {
      name: 'crossEntropy',
      run: (ops) => ops.crossEntropy({ logits, labels, losses, gradientScale: 0.1 }),
    },
    back('linearBackward f32 8256 to 320', logits, head, x),
    back('linearBackward NF4 320 to 1280', x, down, dWide),
    { name: 'geluBackward', run: (ops) => ops.geluBackward({ dOut: dWide, x: wide, dX: dWide }) },
    back('linearBackward NF4 1280 to 320', dWide, up, z),
    {
      name: 'attentionBackward',
      run: (ops) =>
        ops.attentionBackward({ ...mask, dOut: z, q, k, v, out: y, logSumExp, delta, dQ, dK, dV }),
    },
    back('linearBackward NF4 320 to 320', dQ, square, z),
    back('linearBackward NF4 320 to 320', dK, square, z),
    back('linearBackward NF4 320 to 320', dV, square, z),
    {
      name: 'layerNormBackward',
      run: (ops) =>
        ops.layerNormBackward({ dOut: z, x, weight: gain, mean, rstd, dX: y, accumulate: true }),
    },
    {
      name: 'sumSquares',
      run: (ops) => ops.sumSquares({ x: y, out: norm, accumulate: false }),
    },
  ];
}

/** What a backend came to. */
export interface Measured {
  /** Calls a second of the whole list. */
  readonly callsPerSecond: number;
  /** Milliseconds of the slowest names, each call finished before the next. */
  readonly slowest: readonly (readonly [name: string, milliseconds: number])[];
}

/** Runs the list `repeat` times after one that compiles, and then each call alone. */
export async function measure(backend: Backend, repeat: number): Promise<Measured> {
  const calls = callsOf(backend);
  const probe = backend.empty('f32', [1]);
  const all = () => {
    for (const call of calls) call.run(backend.ops);
  };
  // Only what was read is known to have run.
  const settle = async () => {
    backend.ops.axpby({ x: probe, out: probe, alpha: 1, beta: 0 });
    await backend.read(probe);
    await backend.sync();
  };
  all();
  await settle();
  const start = performance.now();
  for (let i = 0; i < repeat; i++) all();
  await settle();
  const callsPerSecond = (1000 * repeat * calls.length) / (performance.now() - start);
  const times = new Map<string, number>();
  for (const call of calls) {
    const before = performance.now();
    call.run(backend.ops);
    await settle();
    const spent = performance.now() - before;
    times.set(call.name, Math.min(times.get(call.name) ?? Number.POSITIVE_INFINITY, spent));
  }
  const slowest = [...times].sort((p, r) => r[1] - p[1]).slice(0, 6);
  return { callsPerSecond, slowest };
}
