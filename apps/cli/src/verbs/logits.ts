import { dirname } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import { loadAdapter } from '@qlorajs/lora';
import { safetensorsChunks } from '@qlorajs/safetensors';
import {
  adapterOption,
  backendOptions,
  embeddingShape,
  option,
  optionalBaseOption,
  quantizationOptions,
  required,
  text,
  toggle,
} from '@qlorajs/session';
import { writeWhole } from '../io/atomic.js';
import { openBackend } from '../io/backend.js';
import { kindOf, readJson } from '../io/read.js';
import { loadModel, openWeights } from '../model/load-model.js';
import { baseOf, readAdapterFolder } from '../model/session.js';
import { tokenBatch } from '../model/token-batch.js';
import { createProgress } from '../report/progress.js';
import { verb } from './verb.js';

export const logits = verb({
  name: 'logits',
  summary: 'logits of token ids, as a safetensors file',
  options: {
    ...optionalBaseOption,
    ...adapterOption,
    ids: required(text('FILE.json'), 'input_ids [B,T] and, if rows are padded, attention_mask'),
    out: required(text('FILE.safetensors'), 'where f32 logits [B,T,V] go'),
    ...quantizationOptions,
    load_in_4bit: option(toggle, false, 'quantize the base (default: as the checkpoint is)'),
    ...backendOptions,
  },
  async run(options, ui) {
    const batch = tokenBatch(await readJson(options.ids), options.ids);
    if ((await kindOf(dirname(options.out))) !== 'folder')
      throw new QLoraError(
        'FILE_MISSING',
        `--out ${options.out}: there is no folder ${dirname(options.out)}; make it first`,
      );
    const folder =
      options.adapter === undefined ? null : await readAdapterFolder(options.adapter, ui);
    const base = await baseOf(options.base, folder === null ? [] : [folder], { ui });
    const weights = await openWeights(base);
    const backend = await openBackend(options, ui);
    try {
      const progress = createProgress(ui);
      const model = await loadModel({ backend, base, weights, hold: options, ui, progress });
      await weights.close();
      if (folder !== null) {
        const embedding = embeddingShape(base.config);
        model.attach(
          loadAdapter(backend, folder.files, model.modules, {
            embedding,
            savable: model.savable,
          }),
        );
      }
      const shape = [batch.batchSize, batch.length, base.config.vocabSize];
      const values = await model.logits(batch);
      batch.restore(values, base.config.vocabSize);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      await writeWhole(
        options.out,
        safetensorsChunks([{ name: 'logits', dtype: 'F32', shape }], () => bytes),
      );
      ui.print(`${options.out}: logits [${shape.join(', ')}] F32\n`);
      ui.result({ out: options.out, tensor: 'logits', dtype: 'F32', shape });
      return 0;
    } finally {
      await backend.dispose();
    }
  },
});
