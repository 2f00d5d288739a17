import { QLoraError } from '@qlorajs/errors';
import { baseOption, formatBytes, quantizationOptions, required, text } from '@qlorajs/session';
import { placeFiles } from '../io/atomic.js';
import { openBase } from '../io/base-folder.js';
import { openOutput } from '../io/output-folder.js';
import { openWeights } from '../model/load-model.js';
import { type QuantizeReport, quantizeCheckpoint } from '../model/quantize-checkpoint.js';
import { createProgress } from '../report/progress.js';
import { peakResidentBytes } from '../report/resident.js';
import { verb } from './verb.js';

const { bnb_4bit_quant_type, bnb_4bit_use_double_quant } = quantizationOptions;

export const quantize = verb({
  name: 'quantize',
  summary: 'a bitsandbytes 4-bit checkpoint of a base',
  options: {
    ...baseOption,
    out: required(text('DIR'), 'folder for the checkpoint'),
    bnb_4bit_quant_type,
    bnb_4bit_use_double_quant,
  },
  async run({ base: name, out, bnb4bitUseDoubleQuant: doubleQuant }, ui) {
    const base = await openBase(name, { ui });
    if (base.quantized)
      throw new QLoraError(
        'BASE_QUANTIZED',
        `--base ${name} is a 4-bit checkpoint already; give the unquantized model`,
      );
    const weights = await openWeights(base);
    const progress = createProgress(ui);
    try {
      const bytes = [...weights.tensors.values()].reduce((sum, each) => sum + each.byteLength, 0);
      const remedy = 'give another --out';
      const output = await openOutput(out, { bytes, reuse: false, remedy });
      let report: QuantizeReport | undefined;
      try {
        await placeFiles(out, 'config.json', async (folder) => {
          const onTensor = (share: number) => progress.show('quantizing', share);
          report = await quantizeCheckpoint(base, weights, folder, { doubleQuant, onTensor });
        });
      } finally {
        progress.clear();
        await output.discardIfEmpty();
      }
      ui.print(
        `${out}: ${report?.quantized} linear layers in NF4, ${formatBytes(report?.bytes ?? 0)}\n`,
      );
      ui.detail(
        `  peak of extra host memory for one tensor ${formatBytes(report?.peakHostBytes ?? 0)}; ${formatBytes(peakResidentBytes())} of the process`,
      );
      ui.result({ out, ...report });
      return 0;
    } finally {
      await weights.close();
    }
  },
});
