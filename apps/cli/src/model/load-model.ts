import type { Backend } from '@qlorajs/compute';
import type { Pager } from '@qlorajs/paged-optim';
import { type LoadOptions, loadPhi, type PhiModel } from '@qlorajs/phi2-model';
import { openCheckpoint, type TensorSource } from '@qlorajs/safetensors';
import { formatBytes } from '@qlorajs/session';
import { cacheSlot, loadAndKeep, loadCached } from '../cache/nf4-cache.js';
import type { BaseFolder } from '../io/base-folder.js';
import type { Progress } from '../report/progress.js';
import { peakResidentBytes } from '../report/resident.js';
import type { Ui } from '../report/ui.js';

/** How the base is held. */
export interface HoldOptions {
  readonly loadIn4bit: boolean;
  readonly bnb4bitUseDoubleQuant: boolean;
  /** Use and keep the quantized layers of a large base (default false). */
  readonly cache?: boolean;
}

/** Opens the base's weights: headers are checked, nothing is loaded. */
export function openWeights(base: BaseFolder): Promise<TensorSource> {
  return openCheckpoint(base.source);
}

/** What loading needs. */
export interface LoadModelArgs {
  readonly backend: Backend;
  readonly base: BaseFolder;
  readonly weights: TensorSource;
  readonly hold: HoldOptions;
  readonly ui: Ui;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
  /** Pages the blocks. */
  readonly pager?: Pager;
}

/** Puts the base on the backend; the layers of a large one come from the cache, or go there. */
export async function loadModel(args: LoadModelArgs): Promise<PhiModel> {
  const { backend, base, weights, hold, ui, progress, signal, pager } = args;
  const started = performance.now();
  const load = (source: TensorSource, onQuantized?: LoadOptions['onQuantized']) =>
    loadPhi(backend, base.config, source, {
      quantize: hold.loadIn4bit ? { doubleQuant: hold.bnb4bitUseDoubleQuant } : null,
      halfTables: backend.name === 'webgpu',
      onTensor: (done, total) => progress.show(`loading ${base.name}`, done / total),
      onQuantized,
      signal,
      pager,
    });
  try {
    const slot =
      hold.cache && hold.loadIn4bit
        ? await cacheSlot(base, weights, hold.bnb4bitUseDoubleQuant)
        : null;
    const model =
      slot === null
        ? await load(weights)
        : ((await loadCached(slot, weights, ui, load)) ??
          (await loadAndKeep(slot, base, ui, (onQuantized) => load(weights, onQuantized))));
    const { peakHostBytes, quantized } = model.report;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    ui.info(
      `base ${base.name}: ${base.config.layers} layers, ${formatBytes(model.weightBytes)} on ${backend.name}, ${quantized} linear layers in NF4 (${seconds} s)`,
    );
    ui.detail(
      `  NF4 weights ${formatBytes(model.quantizedBytes)}; peak of extra host memory while loading ${formatBytes(peakHostBytes)}; resident ${formatBytes(process.memoryUsage.rss())}, at most ${formatBytes(peakResidentBytes())}`,
    );
    return model;
  } finally {
    progress.clear();
  }
}
