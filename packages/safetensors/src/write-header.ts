import { checkNewName, checkTensor, checkText } from './check-tensor.js';
import { dtypeRank } from './dtypes.js';
import { safetensorsError } from './errors.js';
import { MAX_HEADER_BYTES } from './header.js';
import type { TensorInfo } from './tensor-info.js';
import { compareUtf8 } from './utf8-order.js';

/** What a file of these tensors looks like before any data is at hand. */
export interface FilePlan {
  /** Length prefix, JSON and padding. */
  readonly header: Uint8Array;
  /** In the order of their data. */
  readonly tensors: readonly { readonly name: string; readonly byteLength: number }[];
  /** Of the whole file. */
  readonly byteLength: number;
}

/**
 * Lays a file out as the Rust writer does: by dtype from the widest, then by name; compact JSON,
 * padded with spaces to a multiple of 8. That writer puts several metadata keys in random order
 * (a hash map): here they are sorted, so equal input gives equal bytes.
 */
export function planFile(
  tensors: Iterable<TensorInfo>,
  metadata?: Readonly<Record<string, string>>,
): FilePlan {
  const seen = new Set<string>();
  const sized = [...tensors].map((info) => {
    checkNewName(seen, info.name);
    seen.add(info.name);
    return { info, byteLength: checkTensor(info) };
  });
  sized.sort(
    (a, b) =>
      dtypeRank(b.info.dtype) - dtypeRank(a.info.dtype) || compareUtf8(a.info.name, b.info.name),
  );

  const fields = metadata === undefined ? [] : [`"__metadata__":${metadataJson(metadata)}`];
  let offset = 0;
  for (const { info, byteLength } of sized) {
    const end = offset + byteLength;
    fields.push(
      `${JSON.stringify(info.name)}:{"dtype":"${info.dtype}","shape":[${info.shape.join(',')}],"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  if (!Number.isSafeInteger(offset + MAX_HEADER_BYTES)) {
    const problem = 'the tensors need more than 2^53 - 1 bytes together';
    throw safetensorsError('SAFETENSORS_OVERFLOW', {}, problem, 'write several files');
  }
  const header = encodeHeader(`{${fields.join(',')}}`);
  return {
    header,
    tensors: sized.map(({ info, byteLength }) => ({ name: info.name, byteLength })),
    byteLength: header.byteLength + offset,
  };
}

function metadataJson(metadata: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(metadata).sort(([a], [b]) => compareUtf8(a, b));
  const fields = pairs.map(([key, value]) => {
    if (typeof value !== 'string') {
      const problem = `metadata.${key} is not a string`;
      throw safetensorsError('SAFETENSORS_METADATA', {}, problem, 'metadata holds strings only');
    }
    checkText(key + value, 'metadata');
    return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
  });
  return `{${fields.join(',')}}`;
}

function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.byteLength / 8) * 8;
  if (length > MAX_HEADER_BYTES) {
    const problem = `a header of ${length} bytes (at most ${MAX_HEADER_BYTES})`;
    const remedy = 'write fewer tensors or less metadata a file';
    throw safetensorsError('SAFETENSORS_HEADER_TOO_LARGE', {}, problem, remedy);
  }
  const header = new Uint8Array(8 + length).fill(0x20, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return header;
}
