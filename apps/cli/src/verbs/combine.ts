import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createReferenceBackend } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { combineAdapters, exportPeftAdapter, loadAdapter } from '@qlorajs/lora';
import { phiModules } from '@qlorajs/phi2-model';
import {
  choice,
  embeddingShape,
  integer,
  option,
  optional,
  optionalBaseOption,
  required,
  text,
  texts,
} from '@qlorajs/session';
import { fillFolder, placeFiles } from '../io/atomic.js';
import { openOutput } from '../io/output-folder.js';
import { kindOf } from '../io/read.js';
import { baseOf, readAdapterFolder } from '../model/session.js';
import { verb } from './verb.js';

const COMPANIONS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
];

export const combine = verb({
  name: 'combine',
  summary: "one adapter of several, as PEFT's add_weighted_adapter",
  options: {
    ...optionalBaseOption,
    adapter: required(texts('DIR'), 'PEFT adapter folder; repeatable'),
    weights: optional(texts('X'), 'one for each adapter (default: 1 / adapters)'),
    combination_type: option(
      choice('svd', 'cat', 'linear'),
      'svd',
      'svd: nearest sum of one rank; cat: the exact sum, ranks added; linear: mean of As and Bs',
    ),
    svd_rank: optional(integer(1), 'rank with svd (default: the largest)'),
    out: required(text('DIR'), 'folder for the adapter'),
  },
  async run(options, ui) {
    const { adapter: paths, out } = options;
    const weights = (options.weights ?? paths.map(() => String(1 / paths.length))).map(Number);
    const wrong = weights.findIndex((weight) => !Number.isFinite(weight));
    if (wrong >= 0)
      throw new QLoraError(
        'OPTION_VALUE',
        `--weights: ${JSON.stringify(options.weights?.[wrong])} is not a number`,
      );
    const folders = [];
    for (const path of paths) folders.push(await readAdapterFolder(path, ui));
    const base = await baseOf(options.base, folders, { ui });
    const combined = combineAdapters(
      folders.map(({ files }) => files),
      { weights, type: options.combinationType, svdRank: options.svdRank },
    );
    const embedding = embeddingShape(base.config);
    // Putting it on a device checks every tensor against the base.
    const adapter = loadAdapter(createReferenceBackend(), combined, phiModules(base.config), {
      embedding,
    });
    const files = await exportPeftAdapter(adapter);
    const bytes = files['adapter_model.safetensors'].length;
    const output = await openOutput(out, { bytes, reuse: false, remedy: 'give another --out' });
    try {
      await placeFiles(out, 'adapter_config.json', async (folder) => {
        await fillFolder(folder, files);
        for (const file of COMPANIONS)
          if ((await kindOf(join(paths[0], file))) === 'file')
            await copyFile(join(paths[0], file), join(folder, file));
      });
    } finally {
      await output.discardIfEmpty();
    }
    const { r } = combined.config;
    ui.print(`${out}: ${options.combinationType} of ${paths.length} adapters, rank ${r}\n`);
    ui.result({ out, combination_type: options.combinationType, weights, r });
    return 0;
  },
});
