import { readFileSync } from 'node:fs';
import type { TokenizerFiles } from '../src/index.js';

function read(name: string): string {
  return readFileSync(new URL(`../../phi-nano/model/${name}`, import.meta.url), 'utf8');
}

/** The tokenizer files of the base model that comes with the project. */
export function phiNanoFiles(): TokenizerFiles {
  return {
    tokenizerJson: read('tokenizer.json'),
    tokenizerConfig: read('tokenizer_config.json'),
  };
}
