import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { planShards, safetensorsChunks, type TensorSource } from '@qlorajs/safetensors';
import type { BaseFolder } from '../io/base-folder.js';
import { kindOf, readText } from '../io/read.js';
import { editJson } from './float-json.js';
import type { FloatType } from './merged-weights.js';

const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
];

/** transformers' names. */
const DTYPE_NAMES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** Writes weights as `save_pretrained` does: one file, or shards and their index. */
export async function writeShards(
  folder: string,
  weights: TensorSource,
  maxShardSize: number,
  onTensor: (share: number) => void,
): Promise<{ readonly files: string[]; readonly bytes: number }> {
  const plan = planShards(weights.tensors.values() as Iterable<never>, { maxShardSize });
  let done = 0;
  const bytesOf = (name: string) => {
    onTensor(++done / weights.tensors.size);
    return weights.readBytes(name);
  };
  for (const { file, tensors } of plan.shards)
    await writeFile(join(folder, file), safetensorsChunks(tensors, bytesOf, { format: 'pt' }), {
      flush: true,
    });
  if (plan.index) await writeFile(join(folder, plan.index.file), plan.index.text);
  return { files: plan.shards.map(({ file }) => file), bytes: plan.totalSize };
}

/** What goes beside the weights of a merged model. */
export interface CompanionOptions {
  readonly type: FloatType;
  readonly quantization: object | null;
  /** Where tokenizer files are looked for; the first folder that has a tokenizer.json gives them all. */
  readonly tokenizerFolders: readonly string[];
  /** Ids that end an answer. */
  readonly stopIds: readonly number[];
}

/** config.json, generation_config.json and the tokenizer. */
export async function writeCompanions(
  folder: string,
  base: BaseFolder,
  options: CompanionOptions,
): Promise<void> {
  const source = await readText(join(base.path, 'config.json'));
  const config = editJson(source, (entries) => {
    delete entries.quantization_config;
    const key = 'torch_dtype' in entries && !('dtype' in entries) ? 'torch_dtype' : 'dtype';
    entries[key] = DTYPE_NAMES[options.type];
    if (options.quantization) entries.quantization_config = options.quantization;
  });
  await writeFile(join(folder, 'config.json'), config);
  const generation = join(base.path, 'generation_config.json');
  const given = (await kindOf(generation)) === 'file' ? await readText(generation) : '{}';
  const { stopIds } = options;
  const text = editJson(given, (entries) => {
    delete entries._from_model_config;
    if (stopIds.length > 0) entries.eos_token_id = stopIds.length === 1 ? stopIds[0] : stopIds;
  });
  await writeFile(join(folder, 'generation_config.json'), text);
  for (const from of options.tokenizerFolders) {
    if ((await kindOf(join(from, 'tokenizer.json'))) !== 'file') continue;
    for (const file of TOKENIZER_FILES)
      if ((await kindOf(join(from, file))) === 'file')
        await copyFile(join(from, file), join(folder, file));
    return;
  }
}
