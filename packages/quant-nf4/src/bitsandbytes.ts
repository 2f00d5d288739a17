import { QLoraError } from '@qlorajs/errors';
import { NF4_CODE } from './nf4-code.js';
import {
  type DoubleQuantizedScales,
  elementCount,
  type Nf4Tensor,
  type PlainScales,
} from './nf4-tensor.js';
import {
  checkpointError,
  parseQuantState,
  type QuantState,
  quantStateText,
  unsupportedTypeError,
} from './quant-state.js';

const STATE_SUFFIX = 'quant_state.bitsandbytes__nf4';
const FP4_STATE_SUFFIX = 'quant_state.bitsandbytes__fp4';

/** One entry of a checkpoint; fits `writeSafetensors` of `@qlorajs/safetensors`. */
export type BitsandbytesEntry =
  | { readonly dtype: 'U8'; readonly shape: readonly number[]; readonly data: Uint8Array }
  | { readonly dtype: 'F32'; readonly shape: readonly number[]; readonly data: Float32Array };

/** Where entries are read from: a `SafetensorsFile` or a `TensorSource` of `@qlorajs/safetensors`. */
export interface BitsandbytesSource {
  readonly tensors: ReadonlyMap<
    string,
    { readonly dtype: string; readonly shape: readonly number[] }
  >;
  /** The little-endian bytes of one entry. */
  readBytes(tensor: string): Promise<Uint8Array>;
}

const u8 = (data: Uint8Array, shape: readonly number[] = [data.length]): BitsandbytesEntry => ({
  dtype: 'U8',
  shape,
  data,
});
const f32 = (data: Float32Array): BitsandbytesEntry => ({
  dtype: 'F32',
  shape: [data.length],
  data,
});

/**
 * The checkpoint entries of an NF4 weight, in the order and layout of bitsandbytes'
 * `Linear4bit.state_dict()`: `NAME` (packed codes, `[ceil(n / 2), 1]`), `NAME.absmax`,
 * `NAME.quant_map`, with double quantization `NAME.nested_absmax` and `NAME.nested_quant_map`, and
 * `NAME.quant_state.bitsandbytes__nf4`, a JSON text. transformers loads a model saved so when its
 * config.json has a {@link toQuantizationConfig}.
 *
 * @param name - the weight's name: `model.layers.0.mlp.fc1.weight`
 * @returns entries that share the tensor's arrays
 *
 * @example
 * ```ts
 * import { quantizeNf4, toBitsandbytes } from '@qlorajs/quant-nf4';
 *
 * const tensor = quantizeNf4(new Float32Array(128).fill(0.5), { shape: [2, 64] });
 * const entries = toBitsandbytes('fc1.weight', tensor);
 * console.log(entries['fc1.weight']!.shape.join('x'), Object.keys(entries).length); // 64x1 6
 * ```
 */
export function toBitsandbytes(name: string, tensor: Nf4Tensor): Record<string, BitsandbytesEntry> {
  const { codes, scales } = tensor;
  const state = u8(new TextEncoder().encode(quantStateText(tensor)));
  const packed = u8(codes, [codes.length, 1]);
  const quantMap = f32(NF4_CODE.slice());
  if (scales.kind === 'plain') {
    return {
      [name]: packed,
      [`${name}.absmax`]: f32(scales.absmax),
      [`${name}.quant_map`]: quantMap,
      [`${name}.${STATE_SUFFIX}`]: state,
    };
  }
  return {
    [name]: packed,
    [`${name}.absmax`]: u8(scales.codes),
    [`${name}.quant_map`]: quantMap,
    [`${name}.nested_absmax`]: f32(scales.absmax),
    [`${name}.nested_quant_map`]: f32(scales.codeMap),
    [`${name}.${STATE_SUFFIX}`]: state,
  };
}

/** True when the checkpoint holds `name` as a 4-bit weight of bitsandbytes, NF4 or not. */
export function isBitsandbytesWeight(name: string, source: BitsandbytesSource): boolean {
  return (
    source.tensors.has(`${name}.${STATE_SUFFIX}`) ||
    source.tensors.has(`${name}.${FP4_STATE_SUFFIX}`)
  );
}

/** One entry's bytes, checked to be `count` elements of `dtype`. */
async function readEntry(
  name: string,
  suffix: string,
  source: BitsandbytesSource,
  dtype: 'U8' | 'F32',
  count: number,
): Promise<Uint8Array> {
  const key = `${name}.${suffix}`;
  const entry = source.tensors.get(key);
  if (entry === undefined) throw checkpointError(name, `${key} is missing`, { missing: key });
  if (entry.dtype !== dtype || elementCount(entry.shape) !== count) {
    throw checkpointError(
      name,
      `${key} is ${entry.dtype} [${entry.shape.join(', ')}] where its quant_state asks for ${dtype} [${count}]`,
      { entry: key, dtype: entry.dtype, shape: entry.shape, expected: [dtype, count] },
    );
  }
  return source.readBytes(key);
}

async function readFloats(
  name: string,
  suffix: string,
  source: BitsandbytesSource,
  count: number,
): Promise<Float32Array> {
  const bytes = await readEntry(name, suffix, source, 'F32', count);
  // A copy, since a file's bytes need not start at a multiple of four.
  const floats = new Float32Array(bytes.slice().buffer);
  const bad = floats.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return floats;
  throw checkpointError(name, `${name}.${suffix} holds ${floats[bad]} at ${bad}`, {
    entry: `${name}.${suffix}`,
    index: bad,
  });
}

async function readScales(
  name: string,
  source: BitsandbytesSource,
  state: QuantState,
): Promise<PlainScales | DoubleQuantizedScales> {
  const blocks = Math.ceil(elementCount(state.shape) / state.blockSize);
  if (state.nested === null) {
    return { kind: 'plain', absmax: await readFloats(name, 'absmax', source, blocks) };
  }
  const { blockSize, offset } = state.nested;
  return {
    kind: 'double',
    codes: await readEntry(name, 'absmax', source, 'U8', blocks),
    absmax: await readFloats(name, 'nested_absmax', source, Math.ceil(blocks / blockSize)),
    codeMap: await readFloats(name, 'nested_quant_map', source, 256),
    offset,
    blockSize,
  };
}

/** The packed codes; their dtype is free, since `bnb_4bit_quant_storage` only views the bytes. */
async function readCodes(
  name: string,
  source: BitsandbytesSource,
  state: QuantState,
): Promise<Uint8Array> {
  if (!source.tensors.has(name)) {
    throw checkpointError(name, `${name} is missing`, { missing: name });
  }
  const codes = await source.readBytes(name);
  const expected = Math.ceil(elementCount(state.shape) / 2);
  if (codes.length === expected) return codes;
  throw checkpointError(
    name,
    `shape [${state.shape.join(', ')}] takes ${expected} bytes of codes, got ${codes.length}`,
    { shape: state.shape, expected, got: codes.length },
  );
}

/** bitsandbytes' kernels ignore `quant_map` for nf4; another one means codes of another meaning. */
async function checkQuantMap(name: string, source: BitsandbytesSource): Promise<void> {
  const quantMap = await readFloats(name, 'quant_map', source, NF4_CODE.length);
  const other = quantMap.findIndex((value, code) => Math.abs(value - NF4_CODE[code]!) > 1e-6);
  if (other < 0) return;
  throw checkpointError(
    name,
    `${name}.quant_map is not NF4's: value ${other} is ${quantMap[other]}, not ${NF4_CODE[other]}`,
    { entry: `${name}.quant_map`, index: other },
  );
}

/**
 * Reads an NF4 weight from a bitsandbytes checkpoint: the inverse of {@link toBitsandbytes}. Strict:
 * every entry must be there, with the dtype and the length that the `quant_state` asks for. The
 * stored `nested_quant_map` is used, whatever it holds.
 *
 * @param name - the weight's name: `model.layers.0.mlp.fc1.weight`
 * @throws {@link QLoraError} `NF4_MISSING` when the checkpoint does not hold `name` as a 4-bit
 * weight, `NF4_UNSUPPORTED` for fp4, `NF4_CHECKPOINT` when its entries do not fit together,
 * `NF4_BLOCK_SIZE`, `NF4_SHAPE`
 */
export async function fromBitsandbytes(
  name: string,
  source: BitsandbytesSource,
): Promise<Nf4Tensor> {
  const stateKey = `${name}.${STATE_SUFFIX}`;
  if (source.tensors.has(`${name}.${FP4_STATE_SUFFIX}`)) throw unsupportedTypeError(name, 'fp4');
  if (!source.tensors.has(stateKey)) {
    throw new QLoraError(
      'NF4_MISSING',
      `${name}: the checkpoint has no ${stateKey}; the weight is not quantized by bitsandbytes: read it as a plain tensor`,
      { details: { tensor: name, missing: stateKey } },
    );
  }
  const state = parseQuantState(name, await source.readBytes(stateKey));
  const { blockSize, dtype, shape } = state;
  await checkQuantMap(name, source);
  const codes = await readCodes(name, source, state);
  return { shape, dtype, blockSize, codes, scales: await readScales(name, source, state) };
}
