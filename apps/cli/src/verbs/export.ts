import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type GgufType, ggufChunks } from '@qlorajs/gguf';
import {
  adaptersOption,
  choice,
  option,
  optionalBaseOption,
  ownFormat,
  readSystemPrompt,
  readTokenizer,
  required,
  text,
} from '@qlorajs/session';
import { ggufCard } from '../export/gguf-card.js';
import { adapterGguf, isPlainLora, modelGguf } from '../export/gguf-files.js';
import { MergedWeights } from '../export/merged-weights.js';
import { modelfile } from '../export/modelfile.js';
import { placeFiles } from '../io/atomic.js';
import { folderSource } from '../io/file-source.js';
import { openOutput } from '../io/output-folder.js';
import { openWeights } from '../model/load-model.js';
import { baseOf, folderName, readAdapterFolder } from '../model/session.js';
import { createProgress } from '../report/progress.js';
import { verb } from './verb.js';

const TYPES: Readonly<Record<string, GgufType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  q8_0: 'Q8_0',
};

export const exportVerb = verb({
  name: 'export',
  summary: 'GGUF of the merged model and of the adapter, with an Ollama Modelfile',
  options: {
    ...optionalBaseOption,
    ...adaptersOption,
    out: required(text('DIR'), 'folder for model.gguf, adapter.gguf and Modelfile'),
    outtype: option(choice('f16', 'f32', 'bf16', 'q8_0'), 'f16', 'of the matrices'),
  },
  async run(options, ui) {
    const paths = options.adapter ?? [];
    const folders = [];
    for (const path of paths) folders.push(await readAdapterFolder(path, ui));
    const base = await baseOf(options.base, folders, { ui });
    const weights = await openWeights(base);
    const progress = createProgress(ui);
    try {
      const files = folders.map((each) => each.files);
      const merged = new MergedWeights(base, weights, files, 'F32');
      const adapters = paths.map(folderName);
      const name = [folderName(base.name), ...adapters].join(' + ');
      const tokenizer = (await firstTokenizer([...paths, base.path])) ?? null;
      const format = tokenizer && (ownFormat(tokenizer) ?? null);
      if (tokenizer === null)
        ui.warn(`${base.path} has no tokenizer.json: model.gguf will understand no text`);
      const voice = tokenizer && { tokenizer, format };
      const model = modelGguf(name, base.config, merged, voice, TYPES[options.outtype]);
      const bytes = [...merged.tensors.values()].reduce((sum, each) => sum + each.byteLength, 0);
      const output = await openOutput(options.out, {
        ...{ bytes, reuse: false, remedy: 'give another --out' },
      });
      const written = ['model.gguf', 'Modelfile'];
      try {
        await placeFiles(options.out, 'Modelfile', async (folder) => {
          await writeFile(join(folder, 'model.gguf'), counted(model), { flush: true });
          if (files.length === 1 && isPlainLora(files[0])) {
            const adapter = adapterGguf(adapters[0], base.config, files[0]);
            await writeFile(
              join(folder, 'adapter.gguf'),
              ggufChunks(adapter.metadata, adapter.tensors),
              { flush: true },
            );
            written.push('adapter.gguf');
          } else if (files.length > 0)
            ui.info(
              files.length > 1
                ? 'no adapter.gguf: several adapters were merged; combine makes one of them'
                : 'no adapter.gguf: the adapter has trained token rows, which llama.cpp cannot add to a base; model.gguf has them',
            );
          const systemPrompt =
            paths.length > 0 ? await readSystemPrompt(folderSource(paths[0])) : undefined;
          await writeFile(
            join(folder, 'Modelfile'),
            modelfile({
              ...{ from: './model.gguf', format, systemPrompt },
              context: base.config.maxPositions,
            }),
          );
          const sizes = written
            .filter((file) => file.endsWith('.gguf'))
            .map(async (file) => [file, (await stat(join(folder, file))).size] as const);
          const card = ggufCard({
            ...{ base: base.name, adapters, type: options.outtype, format },
            parameters: bytes / 4,
            context: base.config.maxPositions,
            files: Object.fromEntries(await Promise.all(sizes)),
          });
          await writeFile(join(folder, 'README.md'), card);
          written.push('README.md');
        });
      } finally {
        progress.clear();
        await output.discardIfEmpty();
      }
      ui.print(`${options.out}: ${written.join(', ')}\n`);
      ui.info(`next: ollama create my-tutor -f ${join(options.out, 'Modelfile')}`);
      ui.result({ out: options.out, files: written, outtype: options.outtype });
      return 0;
    } finally {
      await weights.close();
    }

    async function* counted({ metadata, tensors }: ReturnType<typeof modelGguf>) {
      let done = 0;
      for await (const chunk of ggufChunks(metadata, tensors)) {
        progress.show('exporting', done++ / tensors.length);
        yield chunk;
      }
    }
  },
});

async function firstTokenizer(folders: readonly string[]) {
  for (const folder of folders) {
    const tokenizer = await readTokenizer(folderSource(folder));
    if (tokenizer) return tokenizer;
  }
  return null;
}
