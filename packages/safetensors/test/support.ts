import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isQLoraError, type QLoraError } from '@qlorajs/errors';
import type { ByteSource } from '../src/byte-source.js';
import type { TensorInfo } from '../src/tensor-info.js';

export function fixture(name: string): Uint8Array {
  return readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)));
}

export function jsonFixture<T>(name: string): T {
  return JSON.parse(new TextDecoder().decode(fixture(name))) as T;
}

/** A file with this header, as it is, and so many bytes of data. */
export function fileOf(header: string | Uint8Array, dataBytes = 0): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const out = new Uint8Array(8 + text.byteLength + dataBytes);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  out.set(text, 8);
  return out;
}

/** The header of one tensor `a`. */
export function oneTensor(dtype: string, shape: readonly number[], bytes: number): string {
  return `{"a":{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[0,${bytes}]}}`;
}

/** The error that the work fails with; fails the test when it is none of ours. */
export async function failure(work: () => unknown): Promise<QLoraError> {
  try {
    await work();
  } catch (error) {
    if (isQLoraError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** Passes reads on, and fails the test on any that leaves the file. */
export function watchedSource(
  bytes: Uint8Array,
): ByteSource & { reads: number; bytesRead: number; closed: boolean } {
  return {
    name: 'watched.safetensors',
    size: bytes.byteLength,
    reads: 0,
    bytesRead: 0,
    closed: false,
    async read(offset, length) {
      const inside =
        Number.isSafeInteger(offset) &&
        Number.isSafeInteger(length) &&
        offset >= 0 &&
        length >= 0 &&
        offset + length <= bytes.byteLength;
      if (!inside) throw new Error(`read ${length} at ${offset} of ${bytes.byteLength} bytes`);
      this.reads++;
      this.bytesRead += length;
      return bytes.subarray(offset, offset + length);
    },
    async close() {
      this.closed = true;
    },
  };
}

/** The 453 tensors of microsoft/phi-2 in the order of its state dict. */
export function phi2Tensors(): TensorInfo[] {
  const infos: TensorInfo[] = [];
  const add = (name: string, ...shape: number[]) => infos.push({ name, dtype: 'F16', shape });
  const linear = (name: string, rows: number, columns: number) => {
    add(`${name}.weight`, rows, columns);
    add(`${name}.bias`, rows);
  };
  add('model.embed_tokens.weight', 51200, 2560);
  for (let layer = 0; layer < 32; layer++) {
    const prefix = `model.layers.${layer}`;
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'dense']) {
      linear(`${prefix}.self_attn.${part}`, 2560, 2560);
    }
    linear(`${prefix}.mlp.fc1`, 10240, 2560);
    linear(`${prefix}.mlp.fc2`, 2560, 10240);
    add(`${prefix}.input_layernorm.weight`, 2560);
    add(`${prefix}.input_layernorm.bias`, 2560);
  }
  add('model.final_layernorm.weight', 2560);
  add('model.final_layernorm.bias', 2560);
  linear('lm_head', 51200, 2560);
  return infos;
}
