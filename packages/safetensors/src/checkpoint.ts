import { readExactly } from './byte-source.js';
import { checkIndexSize, parseIndex } from './checkpoint-index.js';
import { quote, safetensorsError } from './errors.js';
import type { FolderSource } from './folder-source.js';
import {
  type ByteRange,
  openSafetensors,
  type SafetensorsFile,
  tensorNotFound,
} from './safetensors-file.js';
import type { TensorEntry } from './tensor-info.js';

/** The tensors of a model, whichever files they lie in. */
export interface TensorSource {
  /** The folder's. */
  readonly name: string;
  /** File by file, in the order of their bytes; `file` is the name inside the folder. */
  readonly tensors: ReadonlyMap<string, TensorEntry & { readonly file: string }>;
  /** As {@link SafetensorsFile.readBytes}. */
  readBytes(tensor: string, range?: ByteRange): Promise<Uint8Array>;
  /** As {@link SafetensorsFile.readFloat32}. */
  readFloat32(tensor: string): Promise<Float32Array>;
  /** Closes every file. */
  close(): Promise<void>;
}

export interface CheckpointOptions {
  /** `model` unless given; `adapter_model` for PEFT adapters. */
  readonly baseName?: string;
}

/**
 * Opens the weights of a Hugging Face folder: `model.safetensors`, or else the shards that
 * `model.safetensors.index.json` names. Index and shards must agree in every tensor.
 *
 * @throws QLoraError `SAFETENSORS_CHECKPOINT_MISSING` when the folder has neither file,
 * `SAFETENSORS_INDEX_*` and `SAFETENSORS_SHARD_NAME` for a bad index, `SAFETENSORS_SHARDS`
 * listing every shard and tensor that is missing or out of place, and whatever
 * {@link openSafetensors} finds in a file
 *
 * @example
 * ```ts
 * import { memoryFolder, openCheckpoint, writeSafetensors } from '@qlorajs/safetensors';
 *
 * const bytes = writeSafetensors({ bias: { dtype: 'F32', shape: [1], data: new Float32Array([3]) } });
 * const model = await openCheckpoint(memoryFolder([['model.safetensors', bytes]]));
 * console.log(model.tensors.get('bias')?.file, await model.readFloat32('bias')); // model.safetensors Float32Array(1) [ 3 ]
 * ```
 */
export async function openCheckpoint(
  folder: FolderSource,
  options: CheckpointOptions = {},
): Promise<TensorSource> {
  const single = `${options.baseName ?? 'model'}.safetensors`;
  if (await folder.has(single)) {
    const file = await openSafetensors(await folder.open(single));
    return tensorSource(folder.name, new Map([[single, file]]));
  }
  const index = `${single}.index.json`;
  if (!(await folder.has(index))) {
    throw safetensorsError(
      'SAFETENSORS_CHECKPOINT_MISSING',
      { file: folder.name },
      `it holds neither ${single} nor ${index}`,
      'name the folder of a Hugging Face model; older weights (pytorch_model.bin) must be saved anew with safe_serialization=True',
    );
  }
  const weightMap = await readIndex(folder, index);
  const shards = new Map<string, SafetensorsFile>();
  try {
    const problems = await openShards(folder, weightMap, shards);
    if (problems.length > 0) throw disagreement(`${folder.name}/${index}`, problems);
  } catch (error) {
    await closeAll(shards);
    throw error;
  }
  return tensorSource(folder.name, shards);
}

async function readIndex(folder: FolderSource, index: string): Promise<Map<string, string>> {
  const source = await folder.open(index);
  try {
    checkIndexSize(source.size, source.name);
    return parseIndex(await readExactly(source, 0, source.size), source.name);
  } finally {
    await source.close?.();
  }
}

/** Opens into `shards` every shard that is there, and lists all that contradicts the index. */
async function openShards(
  folder: FolderSource,
  weightMap: ReadonlyMap<string, string>,
  shards: Map<string, SafetensorsFile>,
): Promise<string[]> {
  const named = new Map<string, string[]>();
  for (const [tensor, shard] of weightMap) {
    const tensors = named.get(shard);
    if (tensors === undefined) named.set(shard, [tensor]);
    else tensors.push(tensor);
  }
  const problems: string[] = [];
  for (const [shard, tensors] of named) {
    if (!(await folder.has(shard))) {
      problems.push(`shard ${quote(shard)} is missing (${tensors.length} tensors)`);
      continue;
    }
    const file = await openSafetensors(await folder.open(shard));
    shards.set(shard, file);
    for (const tensor of tensors) {
      if (!file.tensors.has(tensor)) problems.push(`${shard} does not hold ${quote(tensor)}`);
    }
    for (const tensor of file.tensors.keys()) {
      const place = weightMap.get(tensor);
      if (place === undefined)
        problems.push(`${shard} holds ${quote(tensor)}, which the index does not name`);
      else if (place !== shard)
        problems.push(`${shard} holds ${quote(tensor)}, which the index places in ${place}`);
    }
  }
  return problems;
}

const SHOWN = 10;

function disagreement(index: string, problems: readonly string[]): Error {
  const shown = problems.slice(0, SHOWN).map((problem) => `\n  ${problem}`);
  if (problems.length > SHOWN) shown.push(`\n  … and ${problems.length - SHOWN} more`);
  return safetensorsError(
    'SAFETENSORS_SHARDS',
    { file: index },
    'the index and the shards disagree',
    `fetch the missing files, or all of the model again from one revision:${shown.join('')}`,
    { details: { problems } },
  );
}

async function closeAll(files: ReadonlyMap<string, SafetensorsFile>): Promise<void> {
  for (const file of files.values()) await file.close();
}

function tensorSource(name: string, files: ReadonlyMap<string, SafetensorsFile>): TensorSource {
  const tensors = new Map<string, TensorEntry & { readonly file: string }>();
  for (const [file, opened] of files) {
    for (const [tensor, entry] of opened.tensors) tensors.set(tensor, { ...entry, file });
  }
  const fileOf = (tensor: string): SafetensorsFile => {
    const entry = tensors.get(tensor);
    if (entry === undefined) throw tensorNotFound(name, tensor);
    return files.get(entry.file)!;
  };
  return {
    name,
    tensors,
    async readBytes(tensor, range) {
      return fileOf(tensor).readBytes(tensor, range);
    },
    async readFloat32(tensor) {
      return fileOf(tensor).readFloat32(tensor);
    },
    async close() {
      await closeAll(files);
    },
  };
}
