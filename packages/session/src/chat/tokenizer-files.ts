import type { FolderSource } from '@qlorajs/safetensors';
import { loadTokenizer, type Tokenizer } from '@qlorajs/tokenizer';
import { textIfThere } from '../read-folder.js';

/** The tokenizer of a model or adapter folder; null where there is no tokenizer.json. */
export async function readTokenizer(folder: FolderSource): Promise<Tokenizer | null> {
  const tokenizerJson = await textIfThere(folder, 'tokenizer.json');
  if (tokenizerJson === undefined) return null;
  return loadTokenizer({
    tokenizerJson,
    tokenizerConfig: await textIfThere(folder, 'tokenizer_config.json'),
    chatTemplate: await textIfThere(folder, 'chat_template.jinja'),
  });
}
