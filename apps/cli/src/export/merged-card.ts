import { formatBytes } from '@qlorajs/session';
import { VERSION } from '../version.js';
import type { LogitDrift, WeightDrift } from './drift.js';

/** What a merge came to. */
export interface MergeFigures {
  readonly base: string;
  readonly adapters: readonly string[];
  readonly format: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly weights: WeightDrift | null;
  readonly logits: LogitDrift | null;
}

/** README.md of a merged model: a model card with its figures. */
export function mergedCard(figures: MergeFigures): string {
  const { weights, logits } = figures;
  const rows = [
    ['base', figures.base],
    ['adapters', figures.adapters.join(', ')],
    ['format', figures.format],
    ['parameters', figures.parameters.toLocaleString('en-US')],
    ['weights', formatBytes(figures.bytes)],
    ...(weights === null
      ? []
      : [
          ['4-bit error of the weights', `${(100 * weights.relative).toFixed(2)} % of their size`],
          ['against the adapter', `${weights.against_update.toFixed(2)} times its update`],
        ]),
    ...(logits === null
      ? []
      : [
          [
            'logits against base and adapter in f32',
            `largest difference ${logits.largest.toExponential(2)}, mean ${logits.mean.toExponential(2)}, likeliest token changed at ${logits.changed} of ${logits.positions} positions`,
          ],
        ]),
  ];
  const table = ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`)];
  return `---
base_model: ${JSON.stringify(figures.base)}
library_name: transformers
pipeline_tag: text-generation
tags:
- qlorajs
---

# ${figures.base} with ${figures.adapters.join(' and ')} merged in

Written by qlorajs ${VERSION}.

${table.join('\n')}

\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
\`\`\`
`;
}
