import { QLoraError } from '@qlorajs/errors';
import {
  type LoraAdapter,
  loadAdapter,
  type PeftAdapterFiles,
  readPeftAdapter,
} from '@qlorajs/lora';
import type { PhiModel } from '@qlorajs/phi2-model';
import type { FolderSource } from '@qlorajs/safetensors';
import type { Tokenizer } from '@qlorajs/tokenizer';
import type { Base } from '../base.js';
import { embeddingShape } from '../embedding-shape.js';
import type { Notices } from '../notices.js';
import { type ChatFormat, ownFormat } from './chat-format.js';
import { readSystemPrompt } from './system-prompt.js';
import { readTokenizer } from './tokenizer-files.js';

/** The base, or the base with one adapter, ready to answer. */
export interface Voice {
  readonly name: string;
  readonly adapter: LoraAdapter | null;
  readonly tokenizer: Tokenizer;
  /** null: no template anywhere; texts are continued as they are. */
  readonly format: ChatFormat | null;
  /** The system message that its adapter was trained with. */
  readonly systemPrompt: string | undefined;
}

/** An adapter's folder, its two files read. */
export interface AdapterFolder {
  readonly source: FolderSource;
  readonly files: PeftAdapterFiles;
}

/** Reads an adapter's two files; unknown keys of its configuration are told. */
export async function readAdapter(source: FolderSource, notices: Notices): Promise<AdapterFolder> {
  const files = await readPeftAdapter(source);
  for (const key of files.warnings)
    notices.warn(`${source.name}/adapter_config.json: unknown key ${key} is ignored, as PEFT does`);
  return { source, files };
}

/**
 * Who speaks: the base alone, or with an adapter on it.
 * @throws QLoraError `TOKENIZER_MISSING` where neither folder has a tokenizer
 */
export async function voiceOf(
  base: Base,
  folder: AdapterFolder | null,
  adapter: LoraAdapter | null,
  name: string,
): Promise<Voice> {
  const ofBase = await readTokenizer(base.source);
  const own = folder === null ? null : await readTokenizer(folder.source);
  const tokenizer = own ?? ofBase;
  if (tokenizer === null)
    throw new QLoraError(
      'TOKENIZER_MISSING',
      `${(folder ?? base).source.name} has no tokenizer.json, and text must become tokens; copy the tokenizer files of the base into it`,
      { details: { folder: base.source.name } },
    );
  const format = ownFormat(tokenizer) ?? (ofBase === null ? null : ownFormat(ofBase));
  const systemPrompt = folder === null ? undefined : await readSystemPrompt(folder.source);
  return { name, adapter, tokenizer, format, systemPrompt };
}

/** Puts an adapter that was read on a loaded base. @throws QLoraError `LORA_ADAPTER_MISMATCH` */
export async function addVoice(
  { base, model }: { readonly base: Base; readonly model: PhiModel },
  folder: AdapterFolder,
  name: string,
): Promise<Voice> {
  const embedding = embeddingShape(base.config);
  const { savable } = model;
  const adapter = loadAdapter(model.backend, folder.files, model.modules, { embedding, savable });
  return voiceOf(base, folder, adapter, name);
}
