import { basename, resolve } from 'node:path';
import type { Backend } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { PhiModel } from '@qlorajs/phi2-model';
import {
  type AdapterFolder,
  addVoice,
  type Conversation,
  readAdapter,
  type Voice,
  voiceOf,
} from '@qlorajs/session';
import type { HubUse } from '../hub/hub-base.js';
import { type BackendChoice, type BackendName, openBackend } from '../io/backend.js';
import { type BaseFolder, openBase } from '../io/base-folder.js';
import { folderSource } from '../io/file-source.js';
import { createProgress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import { type HoldOptions, loadModel, openWeights } from './load-model.js';

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

/** An adapter's folder on disk. */
export interface AdapterPath extends AdapterFolder {
  readonly path: string;
}

/** Reads an adapter's two files; unknown keys of its configuration are told. */
export async function readAdapterFolder(path: string, ui: Ui): Promise<AdapterPath> {
  return { path, ...(await readAdapter(folderSource(path), ui)) };
}

/** Puts the adapter of a folder into a session and its conversation; returns the name of its voice. */
export async function loadVoice(
  session: Session,
  conversation: Conversation,
  folder: string,
  ui: Ui,
): Promise<string> {
  const short = folderName(folder);
  const taken = conversation.voices.some(({ name }) => name === short);
  const name = taken ? folder : short;
  conversation.add(await addVoice(session, await readAdapterFolder(folder, ui), name));
  return name;
}

/** The base that was asked for, or the one that the adapters record; that one is not downloaded unasked. */
export async function baseOf(
  base: string | undefined,
  adapters: readonly AdapterPath[],
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

/** What a folder is called, without where it lies. */
export function folderName(path: string): string {
  return basename(resolve(path));
}

function names(folders: readonly AdapterPath[]): string[] {
  const short = folders.map(({ path }) => folderName(path));
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
  const folders: AdapterPath[] = [];
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
