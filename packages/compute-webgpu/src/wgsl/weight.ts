import { type LinearWeight, NF4_CODE, type Nf4Weight, type Tensor } from '@qlorajs/compute';
import { type Binding, type ParamType, read } from '../device/kernel.js';

/** The part of a kernel that reads a weight: a function `weightAt(i)` over the flattened matrix. */
export interface WeightReader {
  /** Names the kind of weight, for the kernel's key. */
  readonly key: string;
  readonly bindings: Readonly<Record<string, Binding>>;
  readonly params: Readonly<Record<string, ParamType>>;
  readonly declarations: string;
}

const F32: WeightReader = {
  key: 'f32',
  bindings: { weight: read() },
  params: {},
  declarations: /* wgsl */ `
fn weightAt(i: u32) -> f32 { return weight[p.weightAt + i]; }`,
};

/** Needs no `shader-f16`: unpacking is core WGSL. */
const F16: WeightReader = {
  key: 'f16',
  bindings: { weight: read('u32') },
  params: {},
  declarations: /* wgsl */ `
fn weightAt(i: u32) -> f32 {
  let at = p.weightAt + i;
  return unpack2x16float(weight[at / 2u])[at % 2u];
}`,
};

const code = [...NF4_CODE].map((value) => `${value}f`.replace(/^(-?\d+)f$/, '$1.0f')).join(', ');

/** `scaleAt(block)`: the decoded scale, in the two roundings of bitsandbytes. */
const plainScale = (suffix = '') => /* wgsl */ `
fn scaleAt${suffix}(block: u32) -> f32 { return absmax${suffix}[p.absmax${suffix}At + block]; }`;
/** The select, which always takes the product, keeps product and sum from becoming one rounding. */
const doubleScale = (suffix = '') => /* wgsl */ `
fn scaleAt${suffix}(block: u32) -> f32 {
  let at = p.scales${suffix}At + block;
  let byte = (scales${suffix}[at / 4u] >> ((at % 4u) * 8u)) & 255u;
  let product = codeMap${suffix}[p.codeMap${suffix}At + byte] * absmax${suffix}[p.absmax${suffix}At + block / p.scalesPerBlock];
  return select(0.0, product, p.scalesPerBlock != 0u) + p.scaleOffset;
}`;
const NF4_AT = /* wgsl */ `
const NF4_CODE = array<f32, 16>(${code});
fn weightAt(i: u32) -> f32 {
  let at = p.codesAt + i / 2u;
  let byte = (codes[at / 4u] >> ((at % 4u) * 8u)) & 255u;
  let code = select(byte & 15u, byte >> 4u, i % 2u == 0u);
  return NF4_CODE[code] * scaleAt(i / p.blockSize);
}`;

const NF4_PLAIN: WeightReader = {
  key: 'nf4',
  bindings: { codes: read('u32'), absmax: read() },
  params: { blockSize: 'u32' },
  declarations: plainScale() + NF4_AT,
};
const NF4_DOUBLE: WeightReader = {
  key: 'nf4 double',
  bindings: { codes: read('u32'), absmax: read(), scales: read('u32'), codeMap: read() },
  params: { blockSize: 'u32', scalesPerBlock: 'u32', scaleOffset: 'f32' },
  declarations: doubleScale() + NF4_AT,
};

/** The reader for a weight's kind. */
export function weightReader(weight: LinearWeight): WeightReader {
  if (weight.kind === 'dense') return weight.values.dtype === 'f16' ? F16 : F32;
  return weight.scales.kind === 'plain' ? NF4_PLAIN : NF4_DOUBLE;
}

/** The part of a kernel that decodes scales alone; bindings and `scaleAt` have names with `suffix`. */
export function scaleReader(weight: Nf4Weight, suffix: string): WeightReader {
  const { key, bindings, params } = weightReader(weight);
  return {
    key,
    bindings: Object.fromEntries(
      Object.entries(bindings).map(([name, binding]) => [`${name}${suffix}`, binding]),
    ),
    params,
    declarations: (weight.scales.kind === 'plain' ? plainScale : doubleScale)(suffix),
  };
}

/** What the reader's bindings are bound to. */
export function weightTensors(weight: LinearWeight): Record<string, Tensor> {
  if (weight.kind === 'dense') return { weight: weight.values };
  const { codes, scales } = weight;
  if (scales.kind === 'plain') return { codes, absmax: scales.absmax };
  return { codes, absmax: scales.absmax, scales: scales.codes, codeMap: scales.codeMap };
}

/** What the reader's parameters are set to. */
export function weightParams(weight: LinearWeight): Record<string, number> {
  return weight.kind === 'dense' ? {} : nf4Params(weight);
}

function nf4Params({ blockSize, scales }: Nf4Weight): Record<string, number> {
  if (scales.kind === 'plain') return { blockSize };
  return { blockSize, scalesPerBlock: scales.blockSize, scaleOffset: scales.offset };
}
