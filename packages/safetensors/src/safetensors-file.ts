import { type ByteSource, readExactly } from './byte-source.js';
import { floatWidth, widenInto } from './convert.js';
import { quote, safetensorsError } from './errors.js';
import { MAX_HEADER_BYTES, parseHeader } from './header.js';
import { placeTensors } from './layout.js';
import type { TensorEntry } from './tensor-info.js';

/** Part of a tensor, in bytes from its first one. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** An open safetensors file: its header is in memory, its tensors stay in the source. */
export interface SafetensorsFile {
  /** The source's. */
  readonly name: string;
  /** `__metadata__`, without a prototype; empty when the file has none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /**
   * The stored bytes, all or a range of them. They may share memory with the source: do not
   * write to them.
   *
   * @throws QLoraError `SAFETENSORS_TENSOR_NOT_FOUND`, `SAFETENSORS_RANGE`, `SAFETENSORS_SHORT_READ`
   */
  readBytes(tensor: string, range?: ByteRange): Promise<Uint8Array>;
  /**
   * All elements as f32, widened as `toFloat32` does. Besides the result it holds at most
   * 16 MiB.
   *
   * @throws QLoraError `SAFETENSORS_TENSOR_NOT_FOUND`, `SAFETENSORS_NOT_FLOAT`, `SAFETENSORS_SHORT_READ`
   */
  readFloat32(tensor: string): Promise<Float32Array>;
  /** Closes the source. */
  close(): Promise<void>;
}

/** A multiple of every element width, small beside any model. */
const PIECE = 16 * 1024 * 1024;

/**
 * Opens a safetensors file: reads its header and checks all of it before anything else.
 * The source belongs to the file from here on: it is closed with it, and also when the header
 * is refused.
 *
 * Stricter than the Rust reader in what the format's text demands: the header begins with `{`,
 * only spaces pad it, and no key appears twice; also, a tensor has no unknown fields, and
 * `__metadata__` is not null.
 *
 * @throws QLoraError with a code `SAFETENSORS_*`, naming the file and, where known, the tensor
 * @see https://huggingface.co/docs/safetensors/index#format
 *
 * @example
 * ```ts
 * import { bytesSource, openSafetensors, writeSafetensors } from '@qlorajs/safetensors';
 *
 * const bytes = writeSafetensors({ w: { dtype: 'F32', shape: [2], data: new Float32Array([1, 2]) } });
 * const file = await openSafetensors(bytesSource(bytes, 'w.safetensors'));
 * console.log(file.tensors.get('w')?.dtype, await file.readFloat32('w')); // F32 Float32Array(2) [ 1, 2 ]
 * ```
 */
export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  try {
    return await open(source);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

async function open(source: ByteSource): Promise<SafetensorsFile> {
  const headerBytes = await headerLength(source);
  const header = parseHeader(await readExactly(source, 8, headerBytes), source.name);
  const tensors = placeTensors(header.tensors, source.name, 8 + headerBytes, source.size);

  const entryOf = (tensor: string): TensorEntry => {
    const entry = tensors.get(tensor);
    if (entry === undefined) throw tensorNotFound(source.name, tensor);
    return entry;
  };
  return {
    name: source.name,
    metadata: header.metadata,
    tensors,
    async readBytes(tensor, range) {
      const entry = entryOf(tensor);
      const { offset, length } = range ?? { offset: 0, length: entry.byteLength };
      checkRange(offset, length, entry, source.name, tensor);
      return readExactly(source, entry.byteOffset + offset, length);
    },
    async readFloat32(tensor) {
      const entry = entryOf(tensor);
      const width = floatWidth(entry.dtype, { file: source.name, tensor });
      const out = new Float32Array(entry.byteLength / width);
      for (let at = 0; at < entry.byteLength; at += PIECE) {
        const length = Math.min(PIECE, entry.byteLength - at);
        const bytes = await readExactly(source, entry.byteOffset + at, length);
        widenInto(bytes, entry.dtype, out, at / width);
      }
      return out;
    },
    async close() {
      await source.close?.();
    },
  };
}

async function headerLength(source: ByteSource): Promise<number> {
  const place = { file: source.name };
  if (source.size < 8) {
    const problem = `${source.size} bytes are too few for a safetensors file`;
    throw safetensorsError('SAFETENSORS_TOO_SHORT', place, problem, 'fetch the file again');
  }
  const start = await readExactly(source, 0, 8);
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw safetensorsError(
      'SAFETENSORS_HEADER_TOO_LARGE',
      place,
      `its first 8 bytes announce a header of ${length} bytes (at most ${MAX_HEADER_BYTES})`,
      otherFormat(start),
    );
  }
  const end = 8 + Number(length);
  if (end > source.size) {
    throw safetensorsError(
      'SAFETENSORS_TRUNCATED',
      place,
      `the file has ${source.size} bytes, its header alone ends at ${end}`,
      'it is no safetensors file, or the download stopped early: fetch it again',
      { details: { size: source.size, expected: end } },
    );
  }
  return Number(length);
}

/** What people do open by mistake; each reads as an absurd header length. */
function otherFormat(start: Uint8Array): string {
  const text = String.fromCharCode(...start);
  if (text === 'version ') return 'it is a Git LFS pointer: run `git lfs pull` in its repository';
  if (text.startsWith('PK\x03\x04') || text.startsWith('\x80\x02')) {
    return 'it is a PyTorch pickle: save the model with safe_serialization=True';
  }
  if (text.startsWith('GGUF')) return 'it is a GGUF file: use the original Hugging Face model';
  return 'it is no safetensors file, or it is damaged: fetch it again';
}

function checkRange(
  offset: number,
  length: number,
  entry: TensorEntry,
  file: string,
  tensor: string,
): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (whole && offset >= 0 && length >= 0 && offset + length <= entry.byteLength) return;
  throw safetensorsError(
    'SAFETENSORS_RANGE',
    { file, tensor },
    `it has ${entry.byteLength} bytes, the range asks for ${length} from ${offset}`,
    'ask for whole numbers of bytes inside the tensor',
    { details: { offset, length, byteLength: entry.byteLength } },
  );
}

/** For a file or a checkpoint that lacks a tensor. */
export function tensorNotFound(file: string, tensor: string): Error {
  return safetensorsError(
    'SAFETENSORS_TENSOR_NOT_FOUND',
    { file },
    `it holds no tensor ${quote(tensor)}`,
    'check the name, and that the file belongs to this model',
    { details: { tensor } },
  );
}
