import { basename, resolve } from 'node:path';
import type { Backend } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import {
  type LoraAdapter,
  loadAdapter,
  type PeftAdapterFiles,
  readPeftAdapter,
} from '@qlorajs/lora';
import type { PhiModel } from '@qlorajs/phi2-model';
import type { Tokenizer } from '@qlorajs/tokenizer';
import type { HubUse } from '../hub/hub-base.js';
import { type BackendChoice, type BackendName, openBackend } from '../io/backend.js';
import { type BaseFolder, openBase } from '../io/base-folder.js';
import { folderSource } from '../io/file-source.js';
import { createProgress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import { type ChatFormat, ownFormat } from './chat-format.js';
import { embeddingShape } from './embedding-shape.js';
import { type HoldOptions, loadModel, openWeights } from './load-model.js';
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

/** A loaded base and whoever speaks on it. */
export interface Session {
  readonly backend: Backend;
  readonly base: BaseFolder;
  readonly model: PhiModel;
  readonly voices: readonly Voice[];
  close(): Promise<void>;
}

export interface SessionOptions extends HoldOptions {
  readonly base: string | undefined;
  readonly backend: BackendName;
  readonly threads: number | undefined;
  readonly gpujsMode?: BackendChoice['gpujsMode'];
}

interface AdapterFolder {
  readonly path: string;
  readonly files: PeftAdapterFiles;
}

/** Reads an adapter's two files; unknown keys of its configuration are told. */
export async function readAdapterFolder(path: string, ui: Ui): Promise<AdapterFolder> {
  const files = await readPeftAdapter(folderSource(path));
  for (const key of files.warnings)
    ui.warn(`${path}/adapter_config.json: unknown key ${key} is ignored, as PEFT does`);
  return { path, files };
}

/** The base that was asked for, or the one that the adapters record; that one is not downloaded unasked. */
export async function baseOf(
  base: string | undefined,
  adapters: readonly AdapterFolder[],
  hub: HubUse,
): Promise<BaseFolder> {
  if (base !== undefined) return openBase(base, hub);
  const recorded = new Set(adapters.map(({ files }) => files.config.baseModelNameOrPath));
  const [name] = recorded;
  if (recorded.size === 1 && typeof name === 'string')
    return openBase(name, { ...hub, download: false });
  throw new QLoraError(
    'BASE_UNKNOWN',
    adapters.length === 0
      ? '--base DIR|ID|phi-nano is missing (or give --adapter DIR, which records its base)'
      : `the adapters record ${[...recorded].map((each) => JSON.stringify(each)).join(' and ')} as their base; say which with --base`,
  );
}

async function voiceOf(
  base: BaseFolder,
  folder: AdapterFolder | null,
  adapter: LoraAdapter | null,
  name: string,
): Promise<Voice> {
  const ofBase = await readTokenizer(base.path);
  const own = folder === null ? null : await readTokenizer(folder.path);
  const tokenizer = own ?? ofBase;
  if (tokenizer === null)
    throw new QLoraError(
      'TOKENIZER_MISSING',
      `${folder?.path ?? base.path} has no tokenizer.json, and text must become tokens; copy the tokenizer files of the base into it`,
      { details: { folder: base.path } },
    );
  const format = ownFormat(tokenizer) ?? (ofBase === null ? null : ownFormat(ofBase));
  const systemPrompt = folder === null ? undefined : await readSystemPrompt(folder.path);
  return { name, adapter, tokenizer, format, systemPrompt };
}

/** Puts an adapter that was read on a loaded base. */
export async function addVoice(
  { base, model }: Pick<Session, 'base' | 'model'>,
  folder: AdapterFolder,
  name: string,
): Promise<Voice> {
  const embedding = embeddingShape(base.config);
  const adapter = loadAdapter(model.backend, folder.files, model.modules, {
    embedding,
    savable: model.savable,
  });
  return voiceOf(base, folder, adapter, name);
}

function names(folders: readonly AdapterFolder[]): string[] {
  const short = folders.map(({ path }) => basename(resolve(path)));
  return short.map((name, i) =>
    short.indexOf(name) === short.lastIndexOf(name) ? name : folders[i].path,
  );
}

/**
 * Loads the base and every adapter; without adapters the base itself speaks.
 * @param extras.base the base speaks too, first, beside its adapters
 */
export async function openSession(
  options: SessionOptions,
  adapterPaths: readonly string[],
  ui: Ui,
  extras: { readonly signal?: AbortSignal; readonly base?: boolean } = {},
): Promise<Session> {
  const { signal } = extras;
  const folders: AdapterFolder[] = [];
  for (const path of adapterPaths) folders.push(await readAdapterFolder(path, ui));
  const base = await baseOf(options.base, folders, { ui, signal });
  const backend = await openBackend(options, ui);
  try {
    const weights = await openWeights(base);
    const model = await loadModel({
      ...{ backend, base, weights, ui, signal },
      hold: options,
      progress: createProgress(ui),
    });
    await weights.close();
    const called = names(folders);
    const voices: Voice[] = [];
    if (extras.base || folders.length === 0)
      voices.push(await voiceOf(base, null, null, base.name));
    for (const [i, folder] of folders.entries())
      voices.push(await addVoice({ base, model }, folder, called[i]));
    model.attach(voices[0].adapter);
    return { backend, base, model, voices, close: () => backend.dispose() };
  } catch (error) {
    await backend.dispose();
    throw error;
  }
}
