import type { LinearWeight, Nf4Weight, StoredDType, Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import {
  doubleQuantize,
  type FloatDtype,
  fromBitsandbytes,
  type Nf4Tensor,
  nf4Bytes,
  quantizeNf4,
} from '@qlorajs/quant-nf4';
import { denseTensor } from './dense.js';
import { type Loader, PIECE } from './loader.js';

const BLOCK = 64;

const FLOAT_NAMES: Readonly<Record<string, FloatDtype>> = { F16: 'float16', BF16: 'bfloat16' };
const STORED: Readonly<Record<string, StoredDType>> = { F16: 'f16', BF16: 'bf16', F32: 'f32' };

/** Copies an NF4 tensor to the device. */
export function uploadNf4(
  device: Pick<Loader, 'empty' | 'write'>,
  name: string,
  tensor: Nf4Tensor,
): Nf4Weight {
  const { shape, blockSize, scales } = tensor;
  const codes = upload(device, 'u8', tensor.codes, `${name}.codes`);
  return {
    kind: 'nf4',
    shape: [shape[0], shape[1]],
    blockSize,
    codes,
    scales: uploadScales(device, name, scales),
  };
}

function upload(
  device: Pick<Loader, 'empty' | 'write'>,
  dtype: 'u8' | 'f32',
  values: Uint8Array | Float32Array,
  label: string,
): Tensor {
  const tensor = device.empty(dtype, [values.length], label);
  device.write(tensor, values);
  return tensor;
}

function uploadScales(
  device: Pick<Loader, 'empty' | 'write'>,
  name: string,
  scales: Nf4Tensor['scales'],
): Nf4Weight['scales'] {
  if (scales.kind === 'plain')
    return { kind: 'plain', absmax: upload(device, 'f32', scales.absmax, `${name}.absmax`) };
  return {
    kind: 'double',
    codes: upload(device, 'u8', scales.codes, `${name}.absmax`),
    absmax: upload(device, 'f32', scales.absmax, `${name}.nested_absmax`),
    codeMap: upload(device, 'f32', scales.codeMap, `${name}.nested_quant_map`),
    offset: scales.offset,
    blockSize: scales.blockSize,
  };
}

/**
 * A linear layer's weight: as it is in a 4-bit checkpoint, else quantized on the way where the options
 * say so, else dense.
 */
export async function linearWeight(
  loader: Loader,
  name: string,
  shape: readonly [number, number],
): Promise<LinearWeight> {
  const { source, options } = loader;
  if (source.tensors.has(`${name}.absmax`)) return storedNf4(loader, name, shape);
  if (!options.quantize) return { kind: 'dense', shape, values: await denseTensor(loader, name) };
  return (await quantizeOnDevice(loader, name, shape)) ?? quantizeOnHost(loader, name, shape);
}

/** The quantization state of a 4-bit weight says its shape itself. @throws QLoraError `PHI_TENSORS` */
async function storedNf4(
  loader: Loader,
  name: string,
  shape: readonly [number, number],
): Promise<Nf4Weight> {
  const tensor = await fromBitsandbytes(name, loader.source);
  if (tensor.shape.join() !== shape.join())
    throw new QLoraError(
      'PHI_TENSORS',
      `${name}: its quant_state says [${tensor.shape}], the config asks for [${shape}]; quantize the model again, or give the config that belongs to it`,
      { details: { tensor: name, shape: tensor.shape, expected: shape } },
    );
  loader.holds(nf4Bytes(tensor));
  const weight = uploadNf4(loader, name, tensor);
  await loader.pace(nf4Bytes(tensor));
  return weight;
}

/** Whether a block's codes are the same on every engine; see `QuantizeNf4Args`. */
function isUsual(absmax: number): boolean {
  return absmax === 0 || (absmax >= 2 ** -100 && absmax <= 2 ** 100);
}

/**
 * Quantizes where the stored bytes arrive. The scales, 1/64 of the values, come back to be
 * double-quantized in bitsandbytes' own order.
 * @returns null where the host must do it: for floats the operation does not know, scales that engines
 * may disagree on, and values that are not finite, which the host names
 */
async function quantizeOnDevice(
  loader: Loader,
  name: string,
  shape: readonly [number, number],
): Promise<Nf4Weight | null> {
  const { backend, source, options } = loader;
  const { dtype: stored, byteLength } = source.tensors.get(name)!;
  const dtype = STORED[stored];
  if (!dtype) return null;
  const size = shape[0] * shape[1];
  const width = byteLength / size;
  const codes = loader.empty('u8', [Math.ceil(size / 2)], `${name}.codes`);
  const absmax = loader.empty('f32', [Math.ceil(size / BLOCK)], `${name}.absmax`);
  await loader.eachPiece(name, (bytes, start) => {
    const [first, count] = [start / width, bytes.length / width];
    const staged = loader.staging(bytes.length);
    backend.write(staged, bytes);
    backend.ops.quantizeNf4({
      stored: staged,
      dtype,
      blockSize: BLOCK,
      codes: backend.view(codes, first / 2, [Math.ceil(count / 2)]),
      absmax: backend.view(absmax, first / BLOCK, [Math.ceil(count / BLOCK)]),
    });
  });
  const values = await backend.read(absmax);
  if (!values.every(isUsual)) {
    for (const tensor of [codes, absmax]) loader.free(tensor);
    return null;
  }
  const doubled = options.quantize?.doubleQuant === true;
  const scales = doubled
    ? doubleQuantize(values, name)
    : ({ kind: 'plain', absmax: values } as const);
  loader.holds(Math.min(2 * PIECE, byteLength) + values.byteLength * 2);
  if (options.onQuantized) {
    const hostCodes = (await backend.readIntegers(codes)) as Uint8Array;
    loader.holds(hostCodes.byteLength + values.byteLength * 2);
    const form = { shape, dtype: FLOAT_NAMES[stored] ?? 'float32', blockSize: BLOCK } as const;
    await options.onQuantized(name, { ...form, codes: hostCodes, scales });
  }
  if (scales.kind === 'plain')
    return { kind: 'nf4', shape, blockSize: BLOCK, codes, scales: { kind: 'plain', absmax } };
  loader.free(absmax);
  return {
    kind: 'nf4',
    shape,
    blockSize: BLOCK,
    codes,
    scales: uploadScales(loader, name, scales),
  };
}

async function quantizeOnHost(
  loader: Loader,
  name: string,
  shape: readonly [number, number],
): Promise<Nf4Weight> {
  const { source, options } = loader;
  const { dtype, byteLength } = source.tensors.get(name)!;
  const values = await source.readFloat32(name);
  const tensor = quantizeNf4(values, {
    shape,
    name,
    dtype: FLOAT_NAMES[dtype] ?? 'float32',
    doubleQuant: options.quantize?.doubleQuant,
  });
  loader.holds(Math.min(PIECE, byteLength) + values.byteLength + nf4Bytes(tensor));
  await options.onQuantized?.(name, tensor);
  return uploadNf4(loader, name, tensor);
}
