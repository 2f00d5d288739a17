import { measure, shapeText } from './dtypes.js';
import { DAMAGED, quote, safetensorsError } from './errors.js';
import type { DeclaredTensor } from './header.js';
import type { TensorEntry } from './tensor-info.js';

/**
 * Checks declared tensors against each other and the file: every size fits dtype and shape,
 * together they cover the data without hole or overlap, and nothing follows them.
 *
 * @param dataStart bytes before the data: 8 + header
 * @returns the entries in the order of their bytes
 */
export function placeTensors(
  declared: readonly DeclaredTensor[],
  file: string,
  dataStart: number,
  fileSize: number,
): Map<string, TensorEntry> {
  // Old writers list tensors in any order: only the offsets count.
  const sorted = [...declared].sort(
    (a, b) => a.dataOffsets[0] - b.dataOffsets[0] || a.dataOffsets[1] - b.dataOffsets[1],
  );
  const entries = new Map<string, TensorEntry>();
  let end = 0;
  let last: string | undefined;
  for (const tensor of sorted) {
    const byteLength = checkSize(tensor, file);
    const [start] = tensor.dataOffsets;
    if (start !== end) {
      const before = last === undefined ? 'the start' : `the end of tensor ${quote(last)}`;
      const problem = `its data start at ${start}, but ${before} is ${end}: ${start > end ? 'a hole' : 'an overlap'}`;
      throw safetensorsError(
        'SAFETENSORS_OFFSETS',
        { file, tensor: tensor.name },
        problem,
        DAMAGED,
      );
    }
    entries.set(tensor.name, {
      dtype: tensor.dtype,
      shape: tensor.shape,
      byteOffset: dataStart + start,
      byteLength,
    });
    end = start + byteLength;
    last = tensor.name;
  }
  checkEnd(dataStart + end, file, fileSize);
  return entries;
}

function checkSize(tensor: DeclaredTensor, file: string): number {
  const place = { file, tensor: tensor.name };
  const [start, end] = tensor.dataOffsets;
  if (end < start) {
    const problem = `data_offsets [${start},${end}] end before they start`;
    throw safetensorsError('SAFETENSORS_OFFSETS', place, problem, DAMAGED);
  }
  const size = measure(tensor.dtype, tensor.shape);
  if ('code' in size) throw safetensorsError(size.code, place, size.problem, DAMAGED);
  if (size.bytes !== end - start) {
    const problem = `shape ${shapeText(tensor.shape)} of ${tensor.dtype} needs ${size.bytes} bytes, but data_offsets [${start},${end}] hold ${end - start}`;
    throw safetensorsError('SAFETENSORS_SIZE', place, problem, DAMAGED);
  }
  return size.bytes;
}

function checkEnd(expected: number, file: string, fileSize: number): void {
  if (expected > fileSize) {
    throw safetensorsError(
      'SAFETENSORS_TRUNCATED',
      { file },
      `the file has ${fileSize} bytes, its header promises ${expected}`,
      'the download or copy stopped early: fetch the file again',
      { details: { size: fileSize, expected } },
    );
  }
  if (expected < fileSize) {
    throw safetensorsError(
      'SAFETENSORS_TRAILING_BYTES',
      { file },
      `${fileSize - expected} bytes follow the last tensor (the file has ${fileSize}, its header accounts for ${expected})`,
      DAMAGED,
      { details: { size: fileSize, expected } },
    );
  }
}
