import { QLoraError } from '@qlorajs/errors';
import { ByteWriter, type GgufMetadata, writeEntry } from './metadata.js';
import { encodeValues, GGUF_TYPES, type GgufType } from './types.js';

const ALIGNMENT = 32;
const VERSION = 3;

/** One tensor to write. */
export interface GgufTensor {
  /** `blk.0.attn_q.weight` */
  readonly name: string;
  /** Row-major, `[out, in]`; the file lists the dimensions the other way round. */
  readonly shape: readonly number[];
  readonly type: GgufType;
  /** Called once, when its turn comes. */
  readonly values: () => Float32Array | Promise<Float32Array>;
}

const aligned = (size: number) => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/**
 * A GGUF file (version 3) in chunks, one tensor in memory at a time.
 *
 * @throws QLoraError `GGUF_SHAPE` when values do not fit their shape, or rows a block type
 * @example
 * ```ts
 * import { ggufChunks } from '@qlorajs/gguf';
 *
 * const metadata = new Map([['general.architecture', { type: 'string', value: 'phi2' } as const]]);
 * const values = () => Float32Array.of(1, 2);
 * const chunks: Uint8Array[] = [];
 * for await (const chunk of ggufChunks(metadata, [{ name: 'w', shape: [2], type: 'F32', values }]))
 *   chunks.push(chunk);
 * console.log(new TextDecoder().decode(chunks[0].subarray(0, 4)), chunks[1].length); // GGUF 32
 * ```
 */
export async function* ggufChunks(
  metadata: GgufMetadata,
  tensors: readonly GgufTensor[],
): AsyncGenerator<Uint8Array> {
  const out = new ByteWriter();
  for (const letter of 'GGUF') out.u8(letter.charCodeAt(0));
  out.u32(VERSION);
  out.u64(tensors.length);
  out.u64(metadata.size);
  for (const [key, entry] of metadata) writeEntry(out, key, entry);
  let offset = 0;
  const sizes = tensors.map((tensor) => {
    const { name, shape, type } = tensor;
    const size = shape.reduce((product, each) => product * each, 1);
    if (type === 'Q8_0' && (shape.at(-1) ?? 0) % 32 !== 0)
      throw new QLoraError(
        'GGUF_SHAPE',
        `${name}: rows of [${shape}] do not divide into 32; use F16`,
      );
    out.string(name);
    out.u32(shape.length);
    for (const dimension of shape.toReversed()) out.u64(dimension);
    out.u32(GGUF_TYPES[type].code);
    out.u64(offset);
    const bytes = GGUF_TYPES[type].bytes(size);
    offset += aligned(bytes);
    return { size, bytes };
  });
  out.align(ALIGNMENT);
  yield out.bytes();
  for (const [i, { name, type, values }] of tensors.entries()) {
    const given = await values();
    if (given.length !== sizes[i].size)
      throw new QLoraError(
        'GGUF_SHAPE',
        `${name} has ${given.length} values, its shape asks for ${sizes[i].size}`,
        { kind: 'runtime', details: { name } },
      );
    const padded = new Uint8Array(aligned(sizes[i].bytes));
    padded.set(encodeValues(given, type));
    yield padded;
  }
}
