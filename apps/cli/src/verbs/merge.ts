import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toQuantizationConfig } from '@qlorajs/quant-nf4';
import type { TensorSource } from '@qlorajs/safetensors';
import {
  backendOptions,
  choice,
  formatBytes,
  number,
  option,
  optionalBaseOption,
  ownFormat,
  quantizationOptions,
  readTokenizer,
  required,
  text,
  texts,
  toggle,
} from '@qlorajs/session';
import { logitDrift, probeLogits, weightDrift } from '../export/drift.js';
import { mergedCard } from '../export/merged-card.js';
import { type FloatType, MergedWeights } from '../export/merged-weights.js';
import { writeCompanions, writeShards } from '../export/model-folder.js';
import { placeFiles } from '../io/atomic.js';
import { openBackend } from '../io/backend.js';
import { folderSource } from '../io/file-source.js';
import { openOutput } from '../io/output-folder.js';
import { openWeights } from '../model/load-model.js';
import { quantizeCheckpoint } from '../model/quantize-checkpoint.js';
import { baseOf, folderName, readAdapterFolder } from '../model/session.js';
import { createProgress } from '../report/progress.js';
import { verb } from './verb.js';

const TYPES: Readonly<Record<string, FloatType>> = {
  float16: 'F16',
  bfloat16: 'BF16',
  float32: 'F32',
};

/** Models up to so many parameters are run to measure the drift of their logits. */
const PROBED_PARAMETERS = 2e8;

export const merge = verb({
  name: 'merge',
  summary: 'a base with adapters merged into its weights',
  options: {
    ...optionalBaseOption,
    adapter: required(texts('DIR'), 'PEFT adapter folder; repeatable, merged in turn'),
    out: required(text('DIR'), 'folder for the merged model'),
    dtype: option(choice('float16', 'bfloat16', 'float32'), 'float16', 'of the merged weights'),
    max_shard_size: option(number(1), 5e9, 'bytes of weights a file'),
    unmerge: option(toggle, false, 'take the adapter out of a model that it was merged into'),
    requantize: option(
      toggle,
      false,
      'write the merged model in 4 bits again, and measure the loss',
    ),
    bnb_4bit_use_double_quant: quantizationOptions.bnb_4bit_use_double_quant,
    ...backendOptions,
  },
  async run(options, ui) {
    const folders = [];
    for (const path of options.adapter) folders.push(await readAdapterFolder(path, ui));
    const base = await baseOf(options.base, folders, { ui });
    const weights = await openWeights(base);
    const files = folders.map(({ files }) => files);
    const type = TYPES[options.dtype];
    const direction = options.unmerge ? 'unmerge' : 'merge';
    const { out, bnb4bitUseDoubleQuant: doubleQuant } = options;
    const progress = createProgress(ui);
    try {
      const merged = new MergedWeights(base, weights, files, type, direction);
      if (base.quantized)
        ui.warn(
          `${base.name} is in 4 bits: it is dequantized, and the result keeps its rounding; merge into the original weights where you have them`,
        );
      const entries = [...merged.tensors.values()];
      const bytes = entries.reduce((sum, each) => sum + each.byteLength, 0);
      const parameters = bytes / (type === 'F32' ? 4 : 2);
      const output = await openOutput(out, { bytes, reuse: false, remedy: 'give another --out' });
      const drift = options.requantize
        ? await weightDrift(base.config, merged, files, doubleQuant)
        : null;
      if (drift)
        ui.warn(
          `4 bits again: the weights move by ${(100 * drift.relative).toFixed(2)} %, which is ${drift.against_update.toFixed(2)} times the adapter's update; keep base and adapter apart where you can`,
        );
      const logits =
        parameters > PROBED_PARAMETERS
          ? null
          : await measure(options, base.config, {
              exact: new MergedWeights(base, weights, files, 'F32', direction),
              rounded: merged.rounded(),
              quantize: options.requantize ? { doubleQuant } : null,
            });
      const tokenizerFolders = [...options.adapter, base.path];
      let written = { bytes: 0, files: [] as readonly string[] };
      try {
        await placeFiles(out, 'config.json', async (folder) => {
          const onTensor = (share: number) => progress.show('merging', share);
          written = options.requantize
            ? await quantizeCheckpoint(base, merged, folder, { doubleQuant, onTensor })
            : await writeShards(folder, merged, options.maxShardSize, onTensor);
          await writeCompanions(folder, base, {
            ...{ type, tokenizerFolders },
            quantization: options.requantize ? toQuantizationConfig({ doubleQuant }) : null,
            stopIds: await stopIds(tokenizerFolders),
          });
          const card = mergedCard({
            base: base.name,
            adapters: options.adapter.map(folderName),
            format: options.requantize ? `NF4, ${options.dtype} elsewhere` : options.dtype,
            ...{ parameters, bytes: written.bytes, weights: drift, logits },
          });
          await writeFile(join(folder, 'README.md'), card);
        });
      } finally {
        progress.clear();
        await output.discardIfEmpty();
      }
      ui.print(`${out}: ${options.dtype}, ${formatBytes(written.bytes)}\n`);
      if (logits)
        ui.info(
          `logits against base and adapter in f32: largest difference ${logits.largest.toExponential(2)}, likeliest token changed at ${logits.changed} of ${logits.positions} positions`,
        );
      ui.result({ out, dtype: options.dtype, parameters, bytes: written.bytes, drift, logits });
      return 0;
    } finally {
      await weights.close();
    }
  },
});

/** The tokens that end an answer, by the first folder that has a chat template. */
async function stopIds(folders: readonly string[]): Promise<readonly number[]> {
  for (const folder of folders) {
    const tokenizer = await readTokenizer(folderSource(folder));
    const format = tokenizer && ownFormat(tokenizer);
    if (format) return format.stopIds;
  }
  return [];
}

/** Logits of the merged weights as they are written, against the same before rounding. */
async function measure(
  options: Parameters<typeof openBackend>[0],
  config: Parameters<typeof probeLogits>[1],
  sources: {
    readonly exact: TensorSource;
    readonly rounded: TensorSource;
    readonly quantize: { readonly doubleQuant: boolean } | null;
  },
) {
  const backend = await openBackend(options);
  try {
    const exact = await probeLogits(backend, config, sources.exact, null);
    const rounded = await probeLogits(backend, config, sources.rounded, sources.quantize);
    return logitDrift(exact, rounded, config.vocabSize);
  } finally {
    await backend.dispose();
  }
}
