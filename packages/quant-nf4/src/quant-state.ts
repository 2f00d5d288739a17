import { parseJson, QLoraError } from '@qlorajs/errors';
import { checkBlockSize, checkShape, type FloatDtype, type Nf4Tensor } from './nf4-tensor.js';
import { pythonFloat } from './python-float.js';

/** What a checkpoint says of an NF4 tensor beside its arrays. */
export interface QuantState {
  readonly blockSize: number;
  readonly dtype: FloatDtype;
  readonly shape: readonly number[];
  /** Present with double quantization. */
  readonly nested: { readonly blockSize: number; readonly offset: number } | null;
}

const DTYPES: readonly FloatDtype[] = ['float32', 'float16', 'bfloat16'];

/** The `quant_state` text, character for character as bitsandbytes' `json.dumps` writes it. */
export function quantStateText(tensor: Nf4Tensor): string {
  const { blockSize, dtype, shape, scales } = tensor;
  const dimensions = shape.join(', ');
  const nested =
    scales.kind === 'plain'
      ? ''
      : `, "nested_blocksize": ${scales.blockSize}, "nested_dtype": "float32", "nested_offset": ${pythonFloat(scales.offset)}`;
  return `{"quant_type": "nf4", "blocksize": ${blockSize}, "dtype": "${dtype}", "shape": [${dimensions}]${nested}}`;
}

/** `NF4_CHECKPOINT`: a checkpoint's entries for one tensor do not fit together. */
export function checkpointError(
  tensor: string,
  problem: string,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): QLoraError {
  return new QLoraError(
    'NF4_CHECKPOINT',
    `${tensor}: ${problem}; the checkpoint is damaged or was not written by bitsandbytes: download or export it again`,
    { details: { tensor, ...details }, cause },
  );
}

/** `NF4_UNSUPPORTED`: a checkpoint in another 4-bit format. */
export function unsupportedTypeError(tensor: string, quantType: unknown): QLoraError {
  return new QLoraError(
    'NF4_UNSUPPORTED',
    `${tensor}: quantized as ${JSON.stringify(quantType)}; only "nf4" can be read: quantize the original model with bnb_4bit_quant_type "nf4"`,
    { details: { tensor, quantType } },
  );
}

function wholeNumber(tensor: string, key: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
  throw checkpointError(
    tensor,
    `quant_state.${key} is ${JSON.stringify(value)}, not a positive whole number`,
    { key, value },
  );
}

function parseState(tensor: string, bytes: Uint8Array): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw checkpointError(tensor, 'quant_state is not JSON', {}, cause);
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Record<string, unknown>;
  }
  throw checkpointError(tensor, 'quant_state is not a JSON object');
}

function parseNested(tensor: string, state: Record<string, unknown>): QuantState['nested'] {
  const { nested_blocksize, nested_dtype, nested_offset } = state;
  if (nested_blocksize === undefined && nested_dtype === undefined && nested_offset === undefined) {
    return null;
  }
  if (nested_dtype !== 'float32') {
    throw checkpointError(
      tensor,
      `quant_state.nested_dtype is ${JSON.stringify(nested_dtype)}, not "float32"`,
      { key: 'nested_dtype', value: nested_dtype },
    );
  }
  if (typeof nested_offset !== 'number' || !Number.isFinite(Math.fround(nested_offset))) {
    throw checkpointError(
      tensor,
      `quant_state.nested_offset is ${JSON.stringify(nested_offset)}, not a number in f32's range`,
      { key: 'nested_offset', value: nested_offset },
    );
  }
  return {
    blockSize: wholeNumber(tensor, 'nested_blocksize', nested_blocksize),
    offset: Math.fround(nested_offset),
  };
}

/**
 * Reads the bytes of a `quant_state.bitsandbytes__nf4` entry.
 *
 * @throws {@link QLoraError} `NF4_CHECKPOINT`, `NF4_UNSUPPORTED` for another `quant_type`,
 * `NF4_BLOCK_SIZE`, `NF4_SHAPE`
 */
export function parseQuantState(tensor: string, bytes: Uint8Array): QuantState {
  const state = parseState(tensor, bytes);
  if (state.quant_type !== 'nf4') throw unsupportedTypeError(tensor, state.quant_type);
  const dtype = DTYPES.find((each) => each === state.dtype);
  if (dtype === undefined) {
    throw checkpointError(
      tensor,
      `quant_state.dtype is ${JSON.stringify(state.dtype)}, not one of ${DTYPES.join(', ')}`,
      { key: 'dtype', value: state.dtype },
    );
  }
  if (!Array.isArray(state.shape)) {
    throw checkpointError(
      tensor,
      `quant_state.shape is ${JSON.stringify(state.shape)}, not a list`,
      { key: 'shape', value: state.shape },
    );
  }
  const shape = state.shape.map((each: unknown) => wholeNumber(tensor, 'shape', each));
  checkShape(tensor, shape);
  const blockSize = wholeNumber(tensor, 'blocksize', state.blocksize);
  checkBlockSize(tensor, blockSize);
  return { blockSize, dtype, shape, nested: parseNested(tensor, state) };
}
