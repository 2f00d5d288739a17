import { checkNewName, checkTensor } from './check-tensor.js';
import { safetensorsError } from './errors.js';
import type { TensorInfo } from './tensor-info.js';
import { compareUtf8 } from './utf8-order.js';

export interface ShardOptions {
  /** Bytes of tensor data a file, 5 GB (5e9) unless given; a larger tensor gets its own file. */
  readonly maxShardSize?: number;
  /** `model` unless given. */
  readonly baseName?: string;
}

/** Which file each tensor goes to. */
export interface ShardPlan {
  readonly shards: readonly { readonly file: string; readonly tensors: readonly TensorInfo[] }[];
  /** Bytes of all tensor data. */
  readonly totalSize: number;
  /** `model.safetensors.index.json` and its text; null when one file holds everything. */
  readonly index: { readonly file: string; readonly text: string } | null;
}

/**
 * Splits tensors over files as transformers does (`split_state_dict_into_shards_factory` of
 * huggingface_hub): greedily in the order given, `model-00001-of-0000N.safetensors`, with
 * the index that `save_pretrained` writes; a single file is `model.safetensors`.
 *
 * @throws QLoraError `SAFETENSORS_SHARD_SIZE`, and what the writer throws for bad tensors
 *
 * @example
 * ```ts
 * import { planShards } from '@qlorajs/safetensors';
 *
 * const infos = ['a', 'b', 'c'].map((name) => ({ name, dtype: 'F16', shape: [50] }) as const);
 * const plan = planShards(infos, { maxShardSize: 200 });
 * console.log(plan.shards.map(({ tensors }) => tensors.length)); // [ 2, 1 ]
 * console.log(plan.shards[0]?.file); // model-00001-of-00002.safetensors
 * console.log(plan.totalSize, plan.index?.file); // 300 model.safetensors.index.json
 * ```
 */
export function planShards(tensors: Iterable<TensorInfo>, options: ShardOptions = {}): ShardPlan {
  const { maxShardSize = 5e9, baseName = 'model' } = options;
  if (!(maxShardSize > 0)) {
    const problem = `maxShardSize is ${maxShardSize}`;
    throw safetensorsError('SAFETENSORS_SHARD_SIZE', {}, problem, 'pass bytes, more than 0');
  }
  const { groups, totalSize } = split(tensors, maxShardSize);
  const shards = groups.map((group, i) => ({
    file: shardName(baseName, i, groups.length),
    tensors: group,
  }));
  if (shards.length === 1) return { shards, totalSize, index: null };
  const file = `${baseName}.safetensors.index.json`;
  return { shards, totalSize, index: { file, text: indexText(shards, totalSize) } };
}

function split(
  tensors: Iterable<TensorInfo>,
  maxShardSize: number,
): { groups: TensorInfo[][]; totalSize: number } {
  const seen = new Set<string>();
  const groups: TensorInfo[][] = [];
  let current: TensorInfo[] = [];
  let currentSize = 0;
  let totalSize = 0;
  for (const tensor of tensors) {
    checkNewName(seen, tensor.name);
    seen.add(tensor.name);
    const size = checkTensor(tensor);
    totalSize += size;
    if (size > maxShardSize) {
      groups.push([tensor]); // before the group being filled, which stays open: so does the original
      continue;
    }
    if (currentSize + size > maxShardSize) {
      groups.push(current);
      current = [];
      currentSize = 0;
    }
    current.push(tensor);
    currentSize += size;
  }
  if (current.length > 0 || groups.length === 0) groups.push(current);
  return { groups, totalSize };
}

function shardName(baseName: string, index: number, count: number): string {
  if (count === 1) return `${baseName}.safetensors`;
  const number = (value: number) => String(value).padStart(5, '0');
  return `${baseName}-${number(index + 1)}-of-${number(count)}.safetensors`;
}

/** `json.dumps(index, indent=2, sort_keys=True) + "\n"`. */
function indexText(shards: ShardPlan['shards'], totalSize: number): string {
  const places = shards.flatMap(({ file, tensors }) =>
    tensors.map(({ name }) => [name, file] as const),
  );
  places.sort(([a], [b]) => compareUtf8(a, b));
  const lines = places.map(([name, file]) => `    ${asciiJson(name)}: ${asciiJson(file)}`);
  return `{\n  "metadata": {\n    "total_size": ${totalSize}\n  },\n  "weight_map": {\n${lines.join(',\n')}\n  }\n}\n`;
}

/** Python's json escapes whatever is not ASCII, and DEL not. */
function asciiJson(text: string): string {
  return JSON.stringify(text).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
