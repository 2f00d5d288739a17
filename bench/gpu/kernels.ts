// The kernels of compute-webgpu on this machine's GPU: right first, then how fast. See README.md.
import { writeFileSync } from 'node:fs';
import {
  type Backend,
  createReferenceBackend,
  integersFrom,
  type Tensor,
  weightTensors,
} from '@qlorajs/compute';
import { OP_TOLERANCES, opCases } from '@qlorajs/compute/testing';
import { createWebGpuBackend, type Tier } from '../../packages/compute-webgpu/src/index.js';
import { type Kind, randomTensor, randomWeight } from './inputs.js';
import { openGpu } from './open-gpu.js';
import { timeOf } from './time.js';

const gpu = openGpu();
const tiers = (process.env.TIERS ?? 'f32,f16,matrix').split(',') as Tier[];

/** Every case of the operation suite: the largest difference of each operation, of the largest value. */
async function differences(tier: Tier): Promise<void> {
  const backend = await createWebGpuBackend({ gpu, tier });
  const worst = new Map<string, number>();
  let strict = 0;
  for (const each of opCases()) {
    const [expected, actual] = [await each.run(createReferenceBackend()), await each.run(backend)];
    let within = true;
    for (const [name, values] of Object.entries(expected)) {
      let [largest, difference] = [0, 0];
      values.forEach((value, i) => {
        if (Object.is(value, actual[name][i])) return;
        const off = Math.abs(actual[name][i] - value);
        difference = Math.max(difference, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off);
      });
      for (const value of values)
        if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
      const { absolute, relative } = OP_TOLERANCES[each.op];
      within &&= difference <= absolute + relative * largest;
      const share = largest > 0 ? difference / largest : difference;
      worst.set(each.op, Math.max(worst.get(each.op) ?? 0, share));
    }
    if (within) strict++;
  }
  console.log(`${tier}: ${strict} of ${opCases().length} cases within the tolerances of f32`);
  console.log([...worst].map(([op, share]) => `  ${op} ${share.toExponential(1)}`).join('\n'));
  await backend.dispose();
}

/** Rows of gradients of 1e-12 to 1e5: the largest relative difference of a row. */
async function magnitudes(tier: Tier): Promise<void> {
  const [inFeatures, outFeatures, rows] = [320, 192, 18];
  const run = async (backend: Backend) => {
    const dOut = randomTensor(backend, [rows, outFeatures], 1);
    for (let row = 0; row < rows; row++) {
      const one = backend.view(dOut, row * outFeatures, [outFeatures]);
      backend.ops.axpby({ x: one, out: one, alpha: 10 ** (row - 12), beta: 0 });
    }
    const weight = randomWeight(backend, 'nf4', [outFeatures, inFeatures], 2);
    const dX = backend.empty('f32', [rows, inFeatures]);
    backend.ops.linearBackward({ dOut, weight, dX, accumulate: false });
    return backend.read(dX);
  };
  const backend = await createWebGpuBackend({ gpu, tier });
  const [actual, expected] = [await run(backend), await run(createReferenceBackend())];
  let worst = 0;
  for (let row = 0; row < rows; row++) {
    const part = (values: Float32Array) =>
      values.subarray(row * inFeatures, (row + 1) * inFeatures);
    const largest = Math.max(...part(expected).map(Math.abs));
    const off = part(actual).map((value, i) => Math.abs(value - part(expected)[i]));
    worst = Math.max(worst, Math.max(...off) / largest);
  }
  console.log(
    `${tier}: rows of gradients of 1e-12 to 1e5 are off by ${worst.toExponential(1)} at most`,
  );
  await backend.dispose();
}

/** Attention over many tiles, padded and packed: the largest differences, of the largest value. */
async function longAttention(tier: Tier): Promise<void> {
  const [T, heads, headDim] = [330, 2, 80];
  const lengths = [330, 171, 1];
  const documents = Array.from({ length: 3 * T }, (_, i) => Math.floor((i % T) / 97) * 97);
  for (const firstKeys of [null, documents]) {
    const run = async (backend: Backend) => {
      const tensors = Array.from({ length: 8 }, (_, i) =>
        randomTensor(backend, [3, T, heads * headDim], 20 + i, 1.5),
      );
      const [q, k, v, dOut, out, dQ, dK, dV] = tensors;
      const [logSumExp, delta] = [0, 0].map(() => backend.empty('f32', [3, heads, T]));
      const mask = {
        ...{ batch: 3, queryLength: T, keyLength: T, heads, headDim, scale: headDim ** -0.5 },
        ...{ keyLengths: integersFrom(backend, lengths), queryStart: null },
        firstKeys: firstKeys && integersFrom(backend, firstKeys),
      };
      backend.ops.attention({ ...mask, q, k, v, out, logSumExp });
      const saved = { dOut, q, k, v, out, logSumExp, delta };
      backend.ops.attentionBackward({ ...mask, ...saved, dQ, dK, dV });
      return Promise.all([out, logSumExp, dQ, dK, dV].map((each) => backend.read(each)));
    };
    const backend = await createWebGpuBackend({ gpu, tier });
    const [actual, expected] = [await run(backend), await run(createReferenceBackend())];
    const off = expected.map((values, i) => {
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const apart = values.map((value, j) => Math.abs(value - actual[i][j]));
      return (
        apart.reduce(
          (most, value) =>
            value > most ? value : Number.isNaN(value) ? Number.POSITIVE_INFINITY : most,
          0,
        ) / largest
      ).toExponential(1);
    });
    console.log(
      `${tier}: long attention${firstKeys ? ', packed' : ''}: out, logSumExp, dQ, dK, dV off by ${off}`,
    );
    await backend.dispose();
  }
}

const SHAPES = [
  [512, 2560, 2560],
  [512, 10240, 2560],
  [512, 2560, 10240],
  [2048, 2560, 2560],
  [4096, 2560, 2560],
  [4096, 10240, 2560],
  [4096, 2560, 10240],
] as const;

/** What is written to the file that the first argument names: `like` is what cublas.py calls the same. */
const table: Record<
  string,
  { us: number; tflops: number | null; gbs: number | null; like?: string }
> = {};
function keep(name: string, ms: number, flop: number, bytes: number, like?: string): void {
  const rate = (amount: number, unit: number) => (amount > 0 ? amount / ms / unit : null);
  table[name] = { us: ms * 1e3, tflops: rate(flop, 1e9), gbs: rate(bytes, 1e6), like };
}

/** linear and linearBackward by kind of weight; x changes before every call, as in a model. */
async function linears(backend: Backend, tier: Tier): Promise<void> {
  const kinds: Kind[] = process.env.TIMES_ONLY ? ['f16', 'nf4'] : ['f32', 'f16', 'nf4'];
  for (const kind of kinds)
    for (const [m, n, k] of tier === 'matrix' ? SHAPES : [SHAPES[0], SHAPES[3]]) {
      const weight = randomWeight(backend, kind, [n, k], 2);
      const [x, out] = [randomTensor(backend, [m, k], 1), backend.empty('f32', [m, n])];
      const touch = backend.view(x, 0, [1]);
      const forward = await timeOf(backend, () => {
        backend.ops.fill({ out: touch, value: 1 });
        backend.ops.linear({ x, weight, bias: null, out, accumulate: false });
      });
      const backward = await timeOf(backend, () =>
        backend.ops.linearBackward({ dOut: out, weight, dX: x, accumulate: false }),
      );
      const rate = (ms: number) => ((2 * m * n * k) / ms / 1e9).toFixed(0);
      if (tier === 'matrix' && kind !== 'f32') {
        const shape = `${m}x${n}x${k}`;
        keep(`${kind} ${shape}`, forward, 2 * m * n * k, 0, shape);
        keep(`${kind} ${shape}, backward`, backward, 2 * m * n * k, 0, shape);
      }
      console.log(
        `${tier} linear ${kind} ${m}x${n}x${k}: ${rate(forward)} TFLOP/s, backward ${rate(backward)}`,
      );
      for (const tensor of [x, out, ...weightTensors(weight)]) backend.free(tensor);
    }
}

/** The other operations of a step and of decoding, at Phi-2's sizes. */
async function others(backend: Backend, tier: Tier): Promise<void> {
  const { ops } = backend;
  const make = (...shape: number[]) => randomTensor(backend, shape, 3, 0.5);
  const report = async (name: string, run: () => void, bytes = 0, flop = 0) => {
    const ms = await timeOf(backend, run);
    if (tier === 'matrix') keep(name, ms, flop, bytes);
    const rates = [
      bytes > 0 ? `${(bytes / ms / 1e6).toFixed(0)} GB/s` : '',
      flop > 0 ? `${(flop / ms / 1e9).toFixed(1)} TFLOP/s` : '',
    ];
    console.log(`${tier} ${name}: ${(ms * 1e3).toFixed(0)} us ${rates.join(' ').trim()}`);
  };
  const heads = { heads: 32, headDim: 80, scale: 80 ** -0.5, batch: 1, firstKeys: null };
  for (const T of [512, 2048]) {
    const [q, k, v, dOut, out, dQ, dK, dV] = Array.from({ length: 8 }, () => make(T, 2560));
    const [logSumExp, delta] = [make(32 * T), make(32 * T)];
    const keyLengths = integersFrom(backend, [T]);
    const mask = { ...heads, queryLength: T, keyLength: T, keyLengths, queryStart: null };
    const flop = 2 * T * T * 2560; // causal: half of all pairs
    await report(
      `attention ${T}`,
      () => ops.attention({ ...mask, q, k, v, out, logSumExp }),
      0,
      flop,
    );
    const saved = { dOut, q, k, v, out, logSumExp, delta };
    const backward = () => ops.attentionBackward({ ...mask, ...saved, dQ, dK, dV });
    await report(`attentionBackward ${T}`, backward, 0, 2.5 * flop);
  }
  const [x, y, wide, hidden] = [make(512, 2560), make(512, 2560), make(512, 10240), make(512, 16)];
  const [a, b] = [make(16, 2560), make(2560, 16)];
  const product =
    (l: Tensor, r: Tensor, out: Tensor, [m, n, k]: number[], form: string) =>
    () =>
      ops.matmul({
        a: l,
        b: r,
        out,
        m,
        n,
        k,
        transposeA: form[0] === 'T',
        transposeB: form[1] === 'T',
        alpha: 1,
        beta: 1,
      });
  await report('x A^T 512x16x2560', product(x, a, hidden, [512, 16, 2560], 'NT'));
  await report('h B^T 512x2560x16', product(hidden, b, y, [512, 2560, 16], 'NT'), 512 * 2560 * 8);
  await report('dA 16x2560x512', product(hidden, x, a, [16, 2560, 512], 'TN'));
  await report('dB 2560x16x512', product(y, hidden, b, [2560, 16, 512], 'TN'));
  await report('gelu 512x10240', () => ops.gelu({ x: wide, out: wide }), 512 * 10240 * 8);
  await report('axpby 512x2560', () => ops.axpby({ x, out: y, alpha: 1, beta: 0 }), 512 * 2560 * 8);
  const [scale, mean, rstd] = [make(2560), make(512), make(512)];
  const norm = { x, weight: scale, bias: scale, epsilon: 1e-5, out: y, mean, rstd };
  await report('layerNorm 512x2560', () => ops.layerNorm(norm), 512 * 2560 * 8);

  const head = randomWeight(backend, 'f16', [51200, 2560], 4);
  const headBytes = 51200 * 2560 * 2;
  for (const rows of [1, 64]) {
    const [from, logits] = [make(rows, 2560), make(rows, 51200)];
    const args = { weight: head, accumulate: false };
    const flop = 2 * rows * 51200 * 2560;
    const forward = () => ops.linear({ ...args, x: from, bias: null, out: logits });
    await report(`head f16, ${rows} rows`, forward, headBytes, flop);
    const backward = () => ops.linearBackward({ ...args, dOut: logits, dX: from });
    if (rows > 1) await report(`head f16 backward, ${rows} rows`, backward, headBytes, flop);
  }
  for (const [n, k] of [
    [2560, 2560],
    [10240, 2560],
    [2560, 10240],
  ] as const) {
    const weight = randomWeight(backend, 'nf4', [n, k], 4);
    const [from, out] = [make(1, k), make(1, n)];
    const run = () => ops.linear({ x: from, weight, bias: null, out, accumulate: false });
    await report(`linear nf4, 1 row, ${n}x${k}`, run, n * k * (1 / 2 + 1 / 64));
  }
  const [q, k, v, out, lse] = [
    make(2560),
    make(1024, 2560),
    make(1024, 2560),
    make(2560),
    make(32),
  ];
  const lengths = { queryLength: 1, keyLength: 1024, keyLengths: integersFrom(backend, [1024]) };
  const mask = { ...heads, ...lengths, queryStart: integersFrom(backend, [1023]) };
  const decode = () => ops.attention({ ...mask, q, k, v, out, logSumExp: lse });
  await report('attention, 1 query on 1024 keys', decode, 2 * 1024 * 2560 * 4);

  const one = backend.view(y, 0, [1]);
  const start = performance.now();
  for (let i = 0; i < 5000; i++) ops.fill({ out: one, value: 0 });
  const recorded = performance.now() - start;
  await backend.sync();
  console.log(
    `${tier} 5000 small operations: recorded in ${recorded.toFixed(1)} ms, done in ${(performance.now() - start).toFixed(1)} ms`,
  );
}

for (const tier of tiers) {
  if (!process.env.TIMES_ONLY) {
    await differences(tier);
    await magnitudes(tier);
    await longAttention(tier);
  }
  if (process.env.CHECK_ONLY) continue;
  const backend = await createWebGpuBackend({ gpu, tier });
  if (tier === tiers[0]) console.log(JSON.stringify(backend.info));
  await linears(backend, tier);
  if (tier === 'matrix') await others(backend, tier);
  await backend.dispose();
}
if (process.argv[2]) writeFileSync(process.argv[2], JSON.stringify(table, null, 1));
// Dawn's object must be reachable until here.
console.log(gpu ? 'done' : '');
process.exit(0);
