import { BYTES_PER_ELEMENT, nameOf, type Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';

/** What a tensor's `storage` is; views share it. */
export interface WasmStorage {
  /** Of the first byte; -1 once freed. */
  address: number;
  /** The backend's heap: a tensor of another backend is refused. */
  readonly heap: object;
}

/** The address of a tensor's first element. */
export function addressOf(heap: object, tensor: Tensor): number {
  const storage = tensor.storage as WasmStorage;
  if (storage.heap !== heap)
    throw new QLoraError(
      'COMPUTE_FOREIGN_TENSOR',
      `tensor ${nameOf(tensor)} was made by another backend; copy it with read and write`,
      { kind: 'runtime', details: { label: tensor.label, shape: tensor.shape } },
    );
  if (storage.address < 0)
    throw new QLoraError(
      'COMPUTE_FREED_TENSOR',
      `tensor ${nameOf(tensor)} is used after its storage was freed; free it later`,
      { kind: 'runtime', details: { label: tensor.label, shape: tensor.shape } },
    );
  return storage.address + tensor.offset * BYTES_PER_ELEMENT[tensor.dtype];
}
