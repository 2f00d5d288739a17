import type { Backend } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { personalities } from '@qlorajs/personalities';
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
  expectRoom,
  jsonIfThere,
  type LoadingPlan,
  type Notices,
  planLoading,
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
import { type OnProgress, openBaseSource } from './base-source.js';
import { urlFolder } from './folders.js';
import { type BaseKeeper, keepBase, keptBase } from './kept-bases.js';
import { withPatterns } from './re2js.js';
import { expectStorage } from './storage.js';

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

/** What is told while a base comes. */
export interface Reports extends Notices {
  progress: OnProgress;
  /** What the base will take, before its weights come. */
  planned(name: string, plan: LoadingPlan): void;
  /** Something failed that can be done without. */
  failed(error: unknown): void;
}

/** The engine, the base on it and whoever speaks: what chat, training and inspection share. */
export class Bench {
  readonly #site: string;
  readonly #reports: Reports;
  #backend: Backend | null = null;
  #loaded: Loaded | null = null;
  #info: BaseInfo | null = null;
  readonly voices = new Map<string, Voice>();

  /** @param site where the page's models and adapters lie */
  constructor(site: string, reports: Reports) {
    this.#site = site;
    this.#reports = reports;
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

  /**
   * Loads a base in NF4; one that was not ours is kept in 4 bits for the next visit. The one before it
   * stays until the new one is there, where the engine has room for both.
   * @param onRelease called when the one before it goes
   * @throws QLoraError `PLAN_BASE` before its weights come, where the engine has no room for it
   */
  async loadBase(
    choice: BaseChoice,
    signal: AbortSignal,
    onRelease: () => void,
  ): Promise<BaseInfo> {
    const { backend } = this;
    const started = performance.now();
    const from = await openBaseSource(choice, this.#site, this.#reports.progress, signal);
    const { name, source } = from;
    const base = await readBase(source, name);
    const halfTables = backend.name === 'webgpu';
    const plan = await planLoading({ config: base.config, backend, halfTables });
    expectRoom(name, plan);
    const voice = await voiceOf(base, null, null, name);
    this.#reports.planned(name, plan);
    await from.weights(base.quantized ? 0 : plan.keptBytes);
    const weights = await openCheckpoint(source);
    const keeper = from.isKept ? await this.#keeper(base, weights, plan.keptBytes) : null;
    const release = () => {
      onRelease();
      this.#unload();
    };
    const hasRoom =
      plan.budgetBytes !== null && backend.memory().live + plan.weightBytes <= plan.budgetBytes;
    if (!hasRoom) release();
    let model: PhiModel;
    try {
      model = await loadPhi(backend, base.config, weights, {
        ...{ quantize: { doubleQuant: true }, halfTables, signal },
        onTensor: (done, total) => this.#reports.progress('loading', done / total),
        onQuantized: keeper?.add,
      });
    } catch (error) {
      await keeper?.abandon();
      throw error;
    }
    if (hasRoom) release();
    this.#loaded = { base, model, weights };
    const isKept = keeper !== null && (await this.#finish(name, keeper));
    if (from.remove && isKept) {
      // From here on it is read from what is kept; the download has done its service.
      const kept = await readBase(await keptBase(name), name);
      this.#loaded = { base: kept, model, weights: await openCheckpoint(kept.source) };
      await weights.close();
      await from.remove();
    }
    this.voices.set(name, voice);
    this.#info = {
      ...{ name, layers: base.config.layers, hiddenSize: base.config.hiddenSize },
      context: base.config.maxPositions,
      bytes: model.weightBytes,
      quantized: model.report.quantized,
      seconds: (performance.now() - started) / 1000,
    };
    return this.#info;
  }

  /** The base that is loaded; null: none is. */
  get info(): BaseInfo | null {
    return this.#loaded && this.#info;
  }

  /** Without room in the browser's storage a base is used and not kept. */
  async #keeper(base: Base, weights: TensorSource, bytes: number): Promise<BaseKeeper | null> {
    try {
      await expectStorage(base.quantized ? 0 : bytes, base.name);
      return await keepBase(base, weights);
    } catch (error) {
      this.#notKept(base.name, error);
      return null;
    }
  }

  async #finish(name: string, keeper: BaseKeeper): Promise<boolean> {
    try {
      await keeper.finish();
      return true;
    } catch (error) {
      await keeper.abandon();
      this.#notKept(name, error);
      return false;
    }
  }

  #notKept(name: string, cause: unknown): void {
    const why = (cause as Error).message;
    this.#reports.failed(
      new QLoraError('NOT_KEPT', `${name} is not kept for the next visit: ${why}`, { cause }),
    );
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
    let free = name;
    for (let i = 2; this.voices.has(free); i++) free = `${name}-${i}`;
    const voice = await withPatterns(async () =>
      addVoice(loaded, await readAdapter(source, this.#reports), free),
    );
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
