import type { Backend } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { personalities } from '@qlorajs/personalities';
import { phiNano } from '@qlorajs/phi-nano';
import { loadPhi, type PhiModel } from '@qlorajs/phi2-model';
import {
  type FolderSource,
  memoryFolder,
  openCheckpoint,
  type TensorSource,
} from '@qlorajs/safetensors';
import {
  addVoice,
  type Base,
  jsonIfThere,
  type Notices,
  readAdapter,
  readBase,
  type Voice,
  voiceOf,
} from '@qlorajs/session';
import type {
  BackendChoice,
  BaseChoice,
  BaseInfo,
  EngineInfo,
  NamedFile,
  VoiceInfo,
} from '../protocol.js';
import { openBackend } from './backend.js';
import { urlFolder } from './folders.js';
import { hubFolder, removeDownload } from './hub.js';
import { keepBase, keptBase } from './kept-bases.js';

const ADAPTER_FILES = [
  'adapter_config.json',
  'adapter_model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
];

/** Files of an adapter that were dropped, with the names that PEFT gives them. */
function adapterFolder(name: string, files: readonly NamedFile[]): FolderSource {
  const weights = files.filter(([file]) => file.endsWith('.safetensors'));
  const named = files.map(([file, blob]): NamedFile => {
    const isOnly = weights.length === 1 && file === weights[0][0];
    return [isOnly ? 'adapter_model.safetensors' : file, blob];
  });
  return memoryFolder(named, name);
}

export function voiceInfo({ name, adapter, systemPrompt }: Voice): VoiceInfo {
  return { name, rank: adapter?.config.r ?? null, systemPrompt: systemPrompt ?? null };
}

/** A loaded base. */
export interface Loaded {
  readonly base: Base;
  readonly model: PhiModel;
  readonly weights: TensorSource;
}

/** The engine, the base on it and whoever speaks: what chat, training and inspection share. */
export class Bench {
  readonly #site: string;
  readonly #notices: Notices;
  readonly #onProgress: (what: string, share: number) => void;
  #backend: Backend | null = null;
  #loaded: Loaded | null = null;
  readonly voices = new Map<string, Voice>();

  /** @param site where the page's models and adapters lie */
  constructor(site: string, notices: Notices, onProgress: (what: string, share: number) => void) {
    this.#site = site;
    this.#notices = notices;
    this.#onProgress = onProgress;
  }

  async open(choice: BackendChoice): Promise<EngineInfo> {
    await this.#backend?.dispose();
    const { backend, info } = await openBackend(choice);
    this.#backend = backend;
    this.#loaded = null;
    this.voices.clear();
    return info;
  }

  get backend(): Backend {
    if (this.#backend) return this.#backend;
    throw new QLoraError('NO_ENGINE', 'no engine is open; reload the page', { kind: 'runtime' });
  }

  get loaded(): Loaded {
    if (this.#loaded) return this.#loaded;
    throw new QLoraError('NO_BASE', 'no model is loaded yet; wait until it is there', {
      kind: 'runtime',
    });
  }

  /** @throws QLoraError `CHAT_VOICE` */
  voice(name: string): Voice {
    const voice = this.voices.get(name);
    if (voice) return voice;
    throw new QLoraError('CHAT_VOICE', `no adapter is called "${name}"`, { details: { name } });
  }

  async #source(choice: BaseChoice): Promise<{ name: string; source: FolderSource }> {
    const onShare = (what: string) => (share: number) => this.#onProgress(what, share);
    if (choice.kind === 'phi-nano') {
      const { name, files } = phiNano;
      const url = new URL(`models/${name}/`, this.#site).href;
      return { name, source: urlFolder(url, files, onShare('fetching')) };
    }
    if (choice.kind === 'kept') return { name: choice.name, source: await keptBase(choice.name) };
    if (choice.kind === 'url') return hubFolder(choice.url, onShare('downloading'));
    return { name: choice.name, source: memoryFolder(choice.files, choice.name) };
  }

  /** Loads a base in NF4; one that was not ours is kept in 4 bits for the next visit. */
  async loadBase(choice: BaseChoice): Promise<BaseInfo> {
    const { backend } = this;
    const started = performance.now();
    const { name, source } = await this.#source(choice);
    const base = await readBase(source, name);
    const weights = await openCheckpoint(source);
    const keeper =
      choice.kind === 'files' || choice.kind === 'url' ? await keepBase(base, weights) : null;
    this.#unload();
    let model: PhiModel;
    try {
      model = await loadPhi(backend, base.config, weights, {
        quantize: { doubleQuant: true },
        halfTables: backend.name === 'webgpu',
        onTensor: (done, total) => this.#onProgress('loading', done / total),
        onQuantized: keeper?.add,
      });
    } catch (error) {
      await keeper?.abandon();
      throw error;
    }
    await keeper?.finish();
    this.#loaded = { base, model, weights };
    if (choice.kind === 'url' && keeper) {
      // From here on it is read from what is kept; the download has done its service.
      const kept = await readBase(await keptBase(name), name);
      this.#loaded = { base: kept, model, weights: await openCheckpoint(kept.source) };
      await weights.close();
      await removeDownload(choice.url);
    }
    const voice = await voiceOf(this.#loaded.base, null, null, name);
    this.voices.set(name, voice);
    const { layers, hiddenSize, maxPositions } = base.config;
    return {
      ...{ name, layers, hiddenSize, context: maxPositions },
      bytes: model.weightBytes,
      quantized: model.report.quantized,
      seconds: (performance.now() - started) / 1000,
    };
  }

  #unload(): void {
    for (const { adapter } of this.voices.values()) adapter?.dispose();
    this.voices.clear();
    this.#loaded?.model.dispose();
    this.#loaded = null;
  }

  /** Puts an adapter's folder on the base under a name of its own. */
  async addFolder(name: string, source: FolderSource): Promise<VoiceInfo> {
    const { loaded } = this;
    const folder = await readAdapter(source, this.#notices);
    let free = name;
    for (let i = 2; this.voices.has(free); i++) free = `${name}-${i}`;
    const voice = await addVoice(loaded, folder, free);
    this.voices.set(free, voice);
    return voiceInfo(voice);
  }

  async addAdapter(name: string, files: readonly NamedFile[]): Promise<VoiceInfo> {
    const source = adapterFolder(name, files);
    await jsonIfThere(source, 'adapter_config.json');
    return this.addFolder(name, source);
  }

  async addShipped(name: string): Promise<VoiceInfo> {
    if (!personalities.some((each) => each.name === name))
      throw new QLoraError('CHAT_VOICE', `no personality is called "${name}"`);
    const known = this.voices.get(name);
    if (known) return voiceInfo(known);
    const url = new URL(`adapters/${name}/`, this.#site).href;
    return this.addFolder(name, urlFolder(url, ADAPTER_FILES));
  }
}
