import { join } from 'node:path';
import { loadTokenizer, type Tokenizer } from '@qlorajs/tokenizer';
import { kindOf, readText } from '../io/read.js';

async function textIfThere(folder: string, file: string): Promise<string | undefined> {
  const path = join(folder, file);
  return (await kindOf(path)) === 'file' ? readText(path) : undefined;
}

/** The tokenizer of a model or adapter folder; null where there is no tokenizer.json. */
export async function readTokenizer(folder: string): Promise<Tokenizer | null> {
  const tokenizerJson = await textIfThere(folder, 'tokenizer.json');
  if (tokenizerJson === undefined) return null;
  return loadTokenizer({
    tokenizerJson,
    tokenizerConfig: await textIfThere(folder, 'tokenizer_config.json'),
    chatTemplate: await textIfThere(folder, 'chat_template.jinja'),
  });
}
