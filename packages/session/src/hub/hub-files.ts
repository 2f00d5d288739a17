import { QLoraError } from '@qlorajs/errors';
import type { HubFile, HubListing } from './listing.js';

/** Whether a name can be a model's id: `microsoft/phi-2`. */
export function isHubId(name: string): boolean {
  return /^\w[\w.-]*\/\w[\w.-]*$/.test(name);
}

const TEXTS =
  /^(config|generation_config|tokenizer|tokenizer_config|vocab|added_tokens|special_tokens_map)\.json$|^merges\.txt$|^chat_template\.jinja$/;
const WEIGHTS = /^model(-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$/;

/** What of a model is wanted. */
export interface WantedFiles {
  readonly texts: readonly HubFile[];
  readonly weights: readonly HubFile[];
}

/**
 * The files that a base is made of; pickled weights never, since loading them runs what they say.
 * @throws QLoraError `HUB_NO_SAFETENSORS`
 */
export function hubFiles(id: string, { files }: HubListing): WantedFiles {
  const isPickle = ({ name }: HubFile) => /^pytorch_model.*\.bin$/.test(name);
  const weights = files.filter(({ name }) => WEIGHTS.test(name));
  if (!files.some(({ name }) => name === 'config.json') || weights.length === 0)
    throw new QLoraError(
      'HUB_NO_SAFETENSORS',
      files.some(isPickle)
        ? `--base ${id}: its weights are pickled (pytorch_model.bin), which run code when they are loaded, so they are not downloaded; convert it with transformers (save_pretrained writes safetensors) and give the folder`
        : `--base ${id}: it has no config.json with model.safetensors beside it; give the id of a model in transformers' layout`,
      { details: { base: id, files: files.map(({ name }) => name) } },
    );
  return { texts: files.filter(({ name }) => TEXTS.test(name)), weights };
}
