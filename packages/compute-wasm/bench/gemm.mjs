// What the engine reaches on this machine. Build first (npx tsup), then: node bench/gemm.mjs [--threads 2]
import os from 'node:os';
import { parseArgs } from 'node:util';
import { createWasmBackend } from '../dist/index.js';

const { values: flags } = parseArgs({
  options: {
    threads: { type: 'string' },
    relaxed: { type: 'string', default: 'auto' },
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: '1' },
  },
});
const relaxedSimd = flags.relaxed === 'auto' ? 'auto' : flags.relaxed === 'true';
const threads = flags.threads ? Number(flags.threads) : undefined;
const backend = await createWasmBackend({ threads, relaxedSimd });
const { ops } = backend;

function floats(shape, scale = 1) {
  const tensor = backend.empty('f32', shape);
  const data = Float32Array.from({ length: tensor.size }, (_, i) => scale * Math.sin(i * 12.9898));
  backend.write(tensor, data);
  return tensor;
}

function bytes(size) {
  const tensor = backend.empty('u8', [size]);
  backend.write(
    tensor,
    Uint8Array.from({ length: size }, (_, i) => (i * 2654435761) >>> 24),
  );
  return tensor;
}

function weightOf(kind, shape) {
  const size = shape[0] * shape[1];
  if (kind === 'f32') return { kind: 'dense', shape, values: floats(shape) };
  if (kind === 'f16') {
    const values = backend.empty('f16', shape);
    backend.write(
      values,
      Uint16Array.from({ length: size }, (_, i) => 0x3000 + (i % 1024)),
    );
    return { kind: 'dense', shape, values };
  }
  const blocks = Math.ceil(size / 64);
  const map = floats([256]);
  const scales = {
    kind: 'double',
    codes: bytes(blocks),
    absmax: floats([Math.ceil(blocks / 256)]),
  };
  const nested = { ...scales, codeMap: map, offset: 0.1, blockSize: 256 };
  return { kind: 'nf4', shape, blockSize: 64, codes: bytes(Math.ceil(size / 2)), scales: nested };
}

/** Best wall time and best time of the processor, in milliseconds, of calls over about `seconds`. */
function measure(call) {
  call();
  let wall = Infinity;
  let cpu = Infinity;
  const until = performance.now() + 1000 * Number(flags.seconds);
  for (let runs = 0; runs < 5 || performance.now() < until; runs++) {
    const used = process.cpuUsage();
    const start = performance.now();
    call();
    wall = Math.min(wall, performance.now() - start);
    const { user, system } = process.cpuUsage(used);
    cpu = Math.min(cpu, (user + system) / 1000);
  }
  return { wall, cpu };
}

function report(name, flop, prepare) {
  if (!name.includes(flags.only)) return;
  const before = new Set();
  const empty = backend.empty;
  backend.empty = (...args) => {
    const tensor = empty(...args);
    before.add(tensor);
    return tensor;
  };
  const { wall, cpu } = measure(prepare());
  backend.empty = empty;
  for (const tensor of before) backend.free(tensor);
  const rate = (flop / wall / 1e6).toFixed(1);
  // With other load the time of the processor says more, but other threads' time is counted late.
  const perCpu =
    backend.info.threads === 1 ? `${(flop / cpu / 1e6).toFixed(1)} per CPU second` : '';
  console.log(
    `${name.padEnd(44)} ${wall.toFixed(3).padStart(9)} ms ${rate.padStart(7)} GFLOP/s ${perCpu.padStart(22)}`,
  );
}

function linear(kind, m, n, k) {
  report(`linear ${kind} ${m}x${n}x${k}`, 2 * m * n * k, () => {
    const args = { x: floats([m, k]), weight: weightOf(kind, [n, k]), bias: floats([n]) };
    const call = { ...args, out: floats([m, n]), accumulate: false };
    return () => ops.linear(call);
  });
}

function linearBackward(kind, m, n, k) {
  report(`linearBackward ${kind} ${m}x${n}x${k}`, 2 * m * n * k, () => {
    const weight = weightOf(kind, [k, n]);
    const call = { dOut: floats([m, k]), weight, dX: floats([m, n]), accumulate: false };
    return () => ops.linearBackward(call);
  });
}

function matmul(transposeA, transposeB, m, n, k) {
  const form = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
  report(`matmul ${form} ${m}x${n}x${k}`, 2 * m * n * k, () => {
    const operands = { a: floats([m, k]), b: floats([k, n]), out: floats([m, n]), m, n, k };
    const call = { ...operands, transposeA, transposeB, alpha: 1, beta: 0 };
    return () => ops.matmul(call);
  });
}

function attention(batch, length, heads, headDim) {
  const name = `${batch}x${length}x${heads}x${headDim}`;
  const pairs = (batch * heads * length * (length + 1)) / 2;
  const make = () => {
    const shape = [batch, length, heads * headDim];
    const keyLengths = backend.empty('i32', [batch]);
    backend.write(keyLengths, new Int32Array(batch).fill(length));
    const mask = { batch, queryLength: length, keyLength: length, heads, headDim };
    const rest = { scale: headDim ** -0.5, keyLengths, queryStart: null, firstKeys: null };
    const [q, k, v, out] = [1, 2, 3, 4].map(() => floats(shape));
    const logSumExp = floats([batch, heads, length]);
    return { ...mask, ...rest, q, k, v, out, logSumExp };
  };
  report(`attention ${name}, causal`, 4 * pairs * headDim, () => {
    const call = make();
    return () => ops.attention(call);
  });
  report(`attentionBackward ${name}, causal`, 10 * pairs * headDim, () => {
    const forward = make();
    const [dOut, dQ, dK, dV] = [1, 2, 3, 4].map(() => floats(forward.q.shape));
    const call = { ...forward, dOut, dQ, dK, dV, delta: floats(forward.logSumExp.shape) };
    ops.attention(forward);
    return () => ops.attentionBackward(call);
  });
}

function decode(batch, cache, heads, headDim) {
  report(
    `attention, one query on ${batch}x${cache}x${heads}x${headDim}`,
    4 * batch * cache * heads * headDim,
    () => {
      const keyLengths = backend.empty('i32', [batch]);
      backend.write(keyLengths, new Int32Array(batch).fill(cache));
      const queryStart = backend.empty('i32', [batch]);
      backend.write(queryStart, new Int32Array(batch).fill(cache - 1));
      const [q, out] = [1, 2].map(() => floats([batch, 1, heads * headDim]));
      const [k, v] = [1, 2].map(() => floats([batch, cache, heads * headDim]));
      const mask = {
        batch,
        queryLength: 1,
        keyLength: cache,
        heads,
        headDim,
        scale: headDim ** -0.5,
      };
      const call = { ...mask, keyLengths, queryStart, firstKeys: null, q, k, v, out };
      const logSumExp = floats([batch, heads, 1]);
      return () => ops.attention({ ...call, logSumExp });
    },
  );
}

/** Elements (not operations) per nanosecond stand in the column of GFLOP/s. */
function elementwise() {
  const size = 512 * 10240;
  const each = (name, make) => report(`${name} of ${size} (elements)`, size, make);
  each('gelu', () => {
    const call = { x: floats([size]), out: floats([size]) };
    return () => ops.gelu(call);
  });
  each('geluBackward', () => {
    const call = { x: floats([size]), dOut: floats([size]), dX: floats([size]) };
    return () => ops.geluBackward(call);
  });
  each('dropout', () => {
    const call = { x: floats([size]), out: floats([size]), probability: 0.05, seed: 1, stream: 2 };
    return () => ops.dropout({ ...call, accumulate: false });
  });
  each('axpby', () => {
    const call = { x: floats([size]), out: floats([size]), alpha: 1, beta: 1 };
    return () => ops.axpby(call);
  });
  each('layerNorm rows of 2560', () => {
    const [weight, bias] = [floats([2560]), floats([2560])];
    const rows = [floats([size / 2560]), floats([size / 2560])];
    const call = { x: floats([size]), weight, bias, out: floats([size]), mean: rows[0] };
    return () => ops.layerNorm({ ...call, rstd: rows[1], epsilon: 1e-5 });
  });
  each('crossEntropy rows of 51200', () => {
    const n = Math.floor(size / 51200);
    const labels = backend.empty('i32', [n]);
    const call = { logits: floats([n, 51200], 5), labels, losses: floats([n]) };
    return () => ops.crossEntropy({ ...call, gradientScale: 1 });
  });
  each('adamw', () => {
    const [parameter, gradient, firstMoment, secondMoment] = [1, 2, 3, 4].map(() => floats([size]));
    ops.fill({ out: secondMoment, value: 1 });
    const rates = { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 };
    const call = { parameter, gradient, firstMoment, secondMoment, scale: floats([1]) };
    return () => ops.adamw({ ...call, ...rates, step: 3 });
  });
  report('an operation on one element (calls)', 1, () => {
    const call = { x: floats([1]), out: floats([1]), alpha: 1, beta: 0 };
    return () => ops.axpby(call);
  });
}

const [cpu] = os.cpus();
console.log(
  `${cpu.model}, ${os.cpus().length} cores, load ${os.loadavg()[0].toFixed(1)}, Node ${process.version}`,
);
console.log(JSON.stringify(backend.info));
linear('f32', 512, 512, 512);
linear('f32', 512, 2560, 2560);
linear('f32', 2048, 320, 1280);
linear('f16', 512, 2560, 2560);
for (const m of [512, 128, 32, 16, 8, 5, 4, 2, 1]) linear('nf4', m, 2560, 2560);
linear('nf4', 1, 10240, 2560);
linear('nf4', 512, 1280, 320);
linear('f16', 1, 8256, 320);
linear('f16', 1, 51200, 2560);
linear('f32', 1, 2560, 2560);
linearBackward('nf4', 512, 2560, 2560);
linearBackward('nf4', 512, 320, 1280);
matmul(false, true, 1024, 16, 320);
matmul(false, true, 1024, 320, 16);
matmul(true, false, 16, 320, 1024);
matmul(true, false, 320, 16, 1024);
matmul(false, false, 1024, 16, 320);
attention(4, 256, 4, 80);
attention(1, 1024, 32, 80);
decode(1, 1024, 32, 80);
decode(1, 256, 4, 80);
elementwise();
await backend.dispose();
