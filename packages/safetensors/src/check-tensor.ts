import { isSafetensorsDtype, measure, SAFETENSORS_DTYPES, shapeText } from './dtypes.js';
import { safetensorsError } from './errors.js';
import type { TensorInfo } from './tensor-info.js';
import { hasLoneSurrogate } from './utf8-order.js';

/**
 * Checks what a writer is given.
 *
 * @returns the tensor's size in bytes
 */
export function checkTensor(info: TensorInfo): number {
  const place = { tensor: info.name };
  if (info.name === '__metadata__') {
    const problem = 'the format reserves this name';
    throw safetensorsError('SAFETENSORS_NAME', place, problem, 'rename the tensor');
  }
  checkText(info.name, 'its name', place.tensor);
  if (!isSafetensorsDtype(info.dtype)) {
    const problem = `dtype ${String(info.dtype)} is unknown`;
    const remedy = `choose one of ${SAFETENSORS_DTYPES.join(', ')}`;
    throw safetensorsError('SAFETENSORS_DTYPE', place, problem, remedy);
  }
  if (!info.shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    const problem = `shape ${shapeText(info.shape)} is not made of whole numbers of 0 or more`;
    throw safetensorsError('SAFETENSORS_SHAPE', place, problem, 'pass the sizes of the tensor');
  }
  const size = measure(info.dtype, info.shape);
  if ('code' in size) {
    throw safetensorsError(size.code, place, size.problem, 'correct the shape or the dtype');
  }
  return size.bytes;
}

/** Half a surrogate pair would silently become U+FFFD in UTF-8. */
export function checkText(text: string, what: string, tensor?: string): void {
  if (!hasLoneSurrogate(text)) return;
  throw safetensorsError(
    'SAFETENSORS_NAME',
    tensor === undefined ? {} : { tensor },
    `${what} holds half a surrogate pair, which UTF-8 cannot store`,
    'use whole characters',
  );
}

/** Each name once: a writer's own input must pass its reader. */
export function checkNewName(seen: ReadonlySet<string>, tensor: string): void {
  if (!seen.has(tensor)) return;
  const problem = 'it is given twice';
  throw safetensorsError('SAFETENSORS_NAME', { tensor }, problem, 'give each name once');
}
