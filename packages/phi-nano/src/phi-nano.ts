/** Where a model's files lie: a Hugging Face folder. */
export interface ModelFolder {
  readonly name: string;
  /** Ends in `/`: `file:` in Node, `https:` in a page that serves the package. */
  readonly folder: URL;
  /** File names under {@link ModelFolder.folder}, in the order a loader needs them. */
  readonly files: readonly string[];
}

/**
 * phi-nano: 15,151,296 parameters in Phi-2's architecture (`PhiForCausalLM`), float16 in three
 * shards with an index, and its tokenizer of 8,192 tokens. Context: 512 tokens. The embedding has
 * 8,256 rows, so 64 tokens can be added without growing it.
 *
 * This package opens nothing: hand the URL to whatever reads files where you run.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises';
 * import { phiNano } from '@qlorajs/phi-nano';
 *
 * const config = JSON.parse(await readFile(new URL('config.json', phiNano.folder), 'utf8'));
 * console.log(config.model_type, config.num_hidden_layers); // phi 8
 * ```
 */
export const phiNano: ModelFolder = {
  name: 'phi-nano',
  // One folder up from src/ as from dist/, which is why the bundle must stay flat.
  folder: new URL('../model/', import.meta.url),
  files: [
    'config.json',
    'generation_config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'model.safetensors.index.json',
    'model-00001-of-00003.safetensors',
    'model-00002-of-00003.safetensors',
    'model-00003-of-00003.safetensors',
  ],
};
