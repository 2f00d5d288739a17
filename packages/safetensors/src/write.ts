import type { SafetensorsDtype } from './dtypes.js';
import { safetensorsError } from './errors.js';
import type { TensorInfo } from './tensor-info.js';
import { type FilePlan, planFile } from './write-header.js';

/** A tensor with its data, little-endian and in C order, in any kind of view. */
export interface NamedTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/**
 * A safetensors file in memory, byte for byte what the Rust library writes (with several
 * metadata keys that library's order is random; here they are sorted).
 *
 * @param tensors by name, in any order
 * @param metadata stored as `__metadata__`, such as `{ format: 'pt' }`; none is written unless given
 * @throws QLoraError `SAFETENSORS_DATA_LENGTH` when data do not fit dtype and shape, and
 * `SAFETENSORS_NAME`, `_DTYPE`, `_SHAPE`, `_OVERFLOW`, `_MISALIGNED`, `_METADATA`, `_HEADER_TOO_LARGE`
 *
 * @example
 * ```ts
 * import { writeSafetensors } from '@qlorajs/safetensors';
 *
 * const bytes = writeSafetensors({ w: { dtype: 'U8', shape: [2], data: new Uint8Array([7, 8]) } });
 * console.log(new TextDecoder().decode(bytes.subarray(8, 61))); // {"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}
 * ```
 */
export function writeSafetensors(
  tensors: Readonly<Record<string, NamedTensor>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const given = new Map(Object.entries(tensors));
  const infos = [...given].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const plan = planFile(infos, metadata);
  const out = new Uint8Array(plan.byteLength);
  out.set(plan.header);
  let at = plan.header.byteLength;
  for (const { name, byteLength } of plan.tensors) {
    const { data } = given.get(name)!;
    checkLength(name, data.byteLength, byteLength);
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += byteLength;
  }
  return out;
}

/**
 * The same file as {@link writeSafetensors} makes, in chunks: the header, then the data of one
 * tensor at a time. For outputs that do not fit in memory.
 *
 * @param tensors what to write, in any order; checked at once
 * @param data called once a tensor, in the file's order, when the chunk before was taken;
 * what it returns is passed on without a copy
 * @throws QLoraError as {@link writeSafetensors}; `SAFETENSORS_DATA_LENGTH` while iterating
 *
 * @example
 * ```ts
 * import { safetensorsChunks } from '@qlorajs/safetensors';
 *
 * const sizes: number[] = [];
 * const infos = [{ name: 'w', dtype: 'F16', shape: [2, 2] }] as const;
 * for await (const chunk of safetensorsChunks(infos, () => new Uint8Array(8))) sizes.push(chunk.length);
 * console.log(sizes); // [ 64, 8 ]
 * ```
 */
export function safetensorsChunks(
  tensors: Iterable<TensorInfo>,
  data: (name: string) => Promise<Uint8Array> | Uint8Array,
  metadata?: Readonly<Record<string, string>>,
): AsyncIterable<Uint8Array> {
  return chunks(planFile(tensors, metadata), data);
}

async function* chunks(
  plan: FilePlan,
  data: (name: string) => Promise<Uint8Array> | Uint8Array,
): AsyncGenerator<Uint8Array> {
  yield plan.header;
  for (const { name, byteLength } of plan.tensors) {
    const bytes = await data(name);
    checkLength(name, bytes.byteLength, byteLength);
    if (byteLength > 0) yield bytes;
  }
}

function checkLength(tensor: string, got: number, expected: number): void {
  if (got === expected) return;
  throw safetensorsError(
    'SAFETENSORS_DATA_LENGTH',
    { tensor },
    `its data have ${got} bytes, its dtype and shape need ${expected}`,
    'pass exactly the elements of the shape, in the dtype given',
    { details: { got, expected } },
  );
}
