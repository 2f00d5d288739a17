import {
  checkQuantizeNf4,
  NF4_THRESHOLDS,
  type QuantizeNf4Args,
  STORED_BYTES,
  type StoredDType,
} from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { slice } from '../../device/storage.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';

type QuantizeKernel = KernelSpec<'stored' | 'codes' | 'absmax', 'size' | 'count' | 'blockSize'>;

const HALF_AT = /* wgsl */ `
fn halfAt(i: u32) -> u32 {
  let at = p.storedAt / 2u + i;
  return (stored[at / 2u] >> (16u * (at % 2u))) & 0xffffu;
}`;

/** `bitsAt(i)`: value i as the bits of an f32. Integers, since a GPU may flush what is subnormal. */
const BITS_AT: Readonly<Record<StoredDType, string>> = {
  f32: 'fn bitsAt(i: u32) -> u32 { return stored[p.storedAt / 4u + i]; }',
  bf16: `${HALF_AT}
fn bitsAt(i: u32) -> u32 { return halfAt(i) << 16u; }`,
  f16: /* wgsl */ `${HALF_AT}
fn bitsAt(i: u32) -> u32 {
  let half = halfAt(i);
  let sign = (half & 0x8000u) << 16u;
  let exponent = (half >> 10u) & 31u;
  let fraction = half & 1023u;
  if (exponent == 0u) { return sign | bitcast<u32>(f32(fraction) * 0x1p-24f); }
  return sign | (select(exponent + 112u, 255u, exponent == 31u) << 23u) | (fraction << 13u);
}`,
};

/**
 * The f32 nearest to 1 / absmax, from the bits of a normal absmax: WGSL's division may be off in the
 * last bits. With the significand m in [2^23, 2^24), 2^47 / m is divided out bit by bit and rounded;
 * it lies half-way between two integers for no m.
 */
const INVERSE = /* wgsl */ `
fn inverseOf(bits: u32) -> f32 {
  let exponent = bits >> 23u;
  if (exponent == 0u) { return 0.0; }
  let m = (bits & 0x7fffffu) | 0x800000u;
  var rest = 0x800000u;
  var quotient = 0u;
  if (rest >= m) { rest -= m; quotient = 1u; }
  for (var i = 0u; i < 24u; i++) {
    rest <<= 1u;
    quotient <<= 1u;
    if (rest >= m) { rest -= m; quotient |= 1u; }
  }
  if (2u * rest > m) { quotient++; }
  // A quotient of 2^24 carries into the exponent by itself.
  return bitcast<f32>(((252u - exponent) << 23u) + quotient);
}`;

const code = [...NF4_THRESHOLDS].map((each) => `u32(x > ${each}f)`).join(' + ');

/** A thread quantizes one block. */
function quantizeKernel(dtype: StoredDType): QuantizeKernel {
  return {
    key: `quantizeNf4 ${dtype}`,
    bindings: { stored: read('u32'), codes: write('u32'), absmax: write() },
    params: { size: 'u32', count: 'u32', blockSize: 'u32' },
    body: eachElement(
      /* wgsl */ `
  let start = i * p.blockSize;
  let end = min(p.count, start + p.blockSize);
  var largest = 0u;
  for (var at = start; at < end; at++) { largest = max(largest, bitsAt(at) & 0x7fffffffu); }
  absmax[p.absmaxAt + i] = bitcast<f32>(largest);
  let inverse = inverseOf(largest);
  for (var at = start; at < end; at += 8u) {
    var word = 0u;
    for (var j = 0u; j < 8u; j++) {
      // The first of two values is in the high nibble; beyond the last one zeros are coded.
      let value = select(0u, bitsAt(min(at + j, p.count - 1u)), at + j < end);
      word |= codeOf(bitcast<f32>(value) * inverse) << (4u * (j ^ 1u));
    }
    let to = (p.codesAt + at / 2u) / 4u;
    let bytes = (end - at + 1u) / 2u;
    let mask = select(0xffffffffu, (1u << (8u * (bytes % 4u))) - 1u, bytes < 4u);
    codes[to] = (codes[to] & ~mask) | (word & mask);
  }`,
      `${BITS_AT[dtype]}${INVERSE}
fn codeOf(x: f32) -> u32 { return ${code}; }`,
    ),
  };
}

const kernels = new Memo<QuantizeKernel>();

/** Bytes that aligning the start of a part may add to it. */
const ALIGNMENT = 256;

export function quantizeNf4(engine: Engine, args: QuantizeNf4Args): void {
  const total = checkQuantizeNf4(args);
  const { dtype, blockSize } = args;
  const kernel = kernels.get(dtype, () => quantizeKernel(dtype));
  const width = STORED_BYTES[dtype];
  // Parts of whole blocks that one dispatch can bind.
  const fit = Math.max(1, Math.floor((engine.maxBinding - ALIGNMENT) / (blockSize * width)));
  for (let block = 0; block < args.absmax.size; block += fit) {
    const first = block * blockSize;
    const count = Math.min(total - first, fit * blockSize);
    const stored = slice(args.stored, first * width, count * width);
    const codes = slice(args.codes, first / 2, Math.ceil(count / 2));
    const size = Math.ceil(count / blockSize);
    const absmax = slice(args.absmax, block, size);
    const groups = flatGroups(Math.ceil(size / WIDTH));
    engine.recorder.dispatch(kernel, { stored, codes, absmax }, { size, count, blockSize }, groups);
  }
}
