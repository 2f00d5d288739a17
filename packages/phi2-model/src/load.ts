import type { Backend, LinearWeight, Nf4Weight, Tensor } from '@qlorajs/compute';
import { tensorFrom } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { fromBitsandbytes, type Nf4Tensor, nf4Bytes, quantizeNf4 } from '@qlorajs/quant-nf4';
import { fromFloat32, type TensorSource } from '@qlorajs/safetensors';
import type { PhiConfig } from './config.js';
import { BLOCK_LINEARS, type BlockLinear, checkTensors, linearShape } from './tensors.js';
import type { BlockWeights, FrozenLinear, FrozenNorm, PhiWeights } from './weights.js';

/** How to load. */
export interface LoadOptions {
  /** NF4 for the blocks' linear layers; null keeps them in f32. A 4-bit checkpoint stays 4-bit. */
  readonly quantize: { readonly doubleQuant: boolean } | null;
  /**
   * Keeps embedding and head in f16 where the checkpoint has them in F16 or BF16 (default false): half
   * the memory, for backends that compute with f16. F16 is kept exactly; BF16 below 2^-14 is rounded.
   */
  readonly halfTables?: boolean;
  /** Called after every tensor with how many are done. */
  readonly onTensor?: (done: number, total: number, name: string) => void;
  readonly signal?: AbortSignal;
}

/** What loading cost. */
export interface LoadReport {
  /** Largest sum of host bytes held at once for one tensor: as read, widened, quantized. */
  readonly peakHostBytes: number;
  /** Linear layers that are NF4 on the device. */
  readonly quantized: number;
}

/** The bytes as 16-bit words: typed arrays need aligned memory. */
function halves(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}

/** Copies an NF4 tensor to the device. */
export function uploadNf4(backend: Backend, name: string, tensor: Nf4Tensor): Nf4Weight {
  const bytes = (values: Uint8Array, label: string): Tensor => {
    const device = backend.empty('u8', [values.length], `${name}.${label}`);
    backend.write(device, values);
    return device;
  };
  const { scales } = tensor;
  const floats = (values: Float32Array, label: string) =>
    tensorFrom(backend, values, [values.length], `${name}.${label}`);
  return {
    kind: 'nf4',
    shape: [tensor.shape[0], tensor.shape[1]],
    blockSize: tensor.blockSize,
    codes: bytes(tensor.codes, 'codes'),
    scales:
      scales.kind === 'plain'
        ? { kind: 'plain', absmax: floats(scales.absmax, 'absmax') }
        : {
            kind: 'double',
            codes: bytes(scales.codes, 'absmax'),
            absmax: floats(scales.absmax, 'nested_absmax'),
            codeMap: floats(scales.codeMap, 'nested_quant_map'),
            offset: scales.offset,
            blockSize: scales.blockSize,
          },
  };
}

/** @throws QLoraError `PHI_NOT_FINITE`: a NaN anywhere would become the loss, and silently so */
function checkFinite(name: string, values: Float32Array): void {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * 0; // 0, or NaN from there on
  if (sum === 0) return;
  const index = values.findIndex((value) => !Number.isFinite(value));
  throw new QLoraError(
    'PHI_NOT_FINITE',
    `${name}: value ${index} is ${values[index]}; the file is damaged or its values overflowed when it was saved in half precision: fetch or save it again`,
    { details: { tensor: name, index } },
  );
}

/** The quantization state of a 4-bit weight says its shape itself. @throws QLoraError `PHI_TENSORS` */
function checkShape(name: string, shape: readonly number[], expected: readonly number[]): void {
  if (shape.join() === expected.join()) return;
  throw new QLoraError(
    'PHI_TENSORS',
    `${name}: its quant_state says [${shape}], the config asks for [${expected}]; quantize the model again, or give the config that belongs to it`,
    { details: { tensor: name, shape, expected } },
  );
}

/**
 * Reads a checkpoint onto a device, a tensor at a time: the peak of extra host memory is one tensor.
 * @throws QLoraError `PHI_TENSORS` when names or shapes do not fit the config, `PHI_NOT_FINITE` naming
 * a tensor with NaN or infinities; whatever the reader and the quantizer throw.
 */
export async function loadWeights(
  backend: Backend,
  config: PhiConfig,
  source: TensorSource,
  options: LoadOptions,
): Promise<{ weights: PhiWeights; report: LoadReport }> {
  checkTensors(config, source.tensors, source.name);
  const total = 5 + config.layers * (BLOCK_LINEARS.length * 2 + 2);
  let done = 0;
  let peakHostBytes = 0;
  let quantized = 0;
  const finish = (name: string, bytes: number) => {
    options.signal?.throwIfAborted();
    peakHostBytes = Math.max(peakHostBytes, bytes);
    options.onTensor?.(++done, total, name);
  };

  const dense = async (name: string): Promise<Tensor> => {
    const { shape, byteLength } = source.tensors.get(name)!;
    const values = await source.readFloat32(name);
    checkFinite(name, values);
    const tensor = tensorFrom(backend, values, shape, name);
    finish(name, byteLength + values.byteLength);
    return tensor;
  };

  /** The embedding or the head, in f16 where that was asked for and the checkpoint has no more. */
  const table = async (name: string): Promise<Tensor> => {
    const { shape, dtype, byteLength } = source.tensors.get(name)!;
    if (!options.halfTables || (dtype !== 'F16' && dtype !== 'BF16')) return dense(name);
    const bytes =
      dtype === 'F16'
        ? await source.readBytes(name)
        : fromFloat32(await source.readFloat32(name), 'F16');
    const tensor = backend.empty('f16', shape, name);
    backend.write(tensor, halves(bytes));
    finish(name, dtype === 'F16' ? byteLength : byteLength * 3);
    return tensor;
  };

  const linearWeight = async (layer: number, linear: BlockLinear): Promise<LinearWeight> => {
    const name = `model.layers.${layer}.${linear}.weight`;
    const shape = linearShape(config, linear);
    if (source.tensors.has(`${name}.absmax`)) {
      const tensor = await fromBitsandbytes(name, source);
      checkShape(name, tensor.shape, shape);
      quantized++;
      finish(name, nf4Bytes(tensor));
      return uploadNf4(backend, name, tensor);
    }
    if (!options.quantize) return { kind: 'dense', shape, values: await dense(name) };
    const { dtype, byteLength } = source.tensors.get(name)!;
    const values = await source.readFloat32(name);
    const tensor = quantizeNf4(values, {
      shape,
      name,
      dtype: dtype === 'F16' ? 'float16' : dtype === 'BF16' ? 'bfloat16' : 'float32',
      doubleQuant: options.quantize.doubleQuant,
    });
    quantized++;
    finish(name, byteLength + values.byteLength + nf4Bytes(tensor));
    return uploadNf4(backend, name, tensor);
  };

  const norm = async (prefix: string): Promise<FrozenNorm> => ({
    weight: await dense(`${prefix}.weight`),
    bias: await dense(`${prefix}.bias`),
  });

  const embedding = await table('model.embed_tokens.weight');
  const blocks: BlockWeights[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const linears: Partial<Record<BlockLinear, FrozenLinear>> = {};
    for (const linear of BLOCK_LINEARS)
      linears[linear] = {
        weight: await linearWeight(layer, linear),
        bias: await dense(`model.layers.${layer}.${linear}.bias`),
      };
    blocks.push({
      linears: linears as Record<BlockLinear, FrozenLinear>,
      norm: await norm(`model.layers.${layer}.input_layernorm`),
    });
  }
  const finalNorm = await norm('model.final_layernorm');
  const shape = [config.vocabSize, config.hiddenSize] as const;
  const head: FrozenLinear = {
    weight: { kind: 'dense', shape, values: await table('lm_head.weight') },
    bias: await dense('lm_head.bias'),
  };
  return {
    weights: { embedding, blocks, finalNorm, head },
    report: { peakHostBytes, quantized },
  };
}
