import { type ChatFormat, formatBytes, formatCount } from '@qlorajs/session';
import { VERSION } from '../version.js';

/** What an export came to. */
export interface ExportFigures {
  readonly base: string;
  readonly adapters: readonly string[];
  /** Of the matrices: `f16`. */
  readonly type: string;
  readonly parameters: number;
  readonly context: number;
  /** Bytes by file. */
  readonly files: Readonly<Record<string, number>>;
  readonly format: ChatFormat | null;
}

/** README.md of a folder of GGUF files: a model card with its figures. */
export function ggufCard(figures: ExportFigures): string {
  const { base, adapters, format, files } = figures;
  const stops = format?.stopIds.map((id) => `\`${format.tokenizer.decode([id])}\``) ?? [];
  const rows = [
    ['base', base],
    ['adapters', adapters.join(', ') || 'none'],
    ['architecture', 'phi2'],
    ['parameters', formatCount(figures.parameters)],
    ['matrices', `${figures.type}; norms and biases f32`],
    ['context', `${formatCount(figures.context)} tokens`],
    ['chat template', format === null ? 'none' : 'in `tokenizer.chat_template`'],
    ['an answer ends with', stops.join(', ') || 'the end of the text'],
    ...Object.entries(files).map(([file, bytes]) => [`\`${file}\``, formatBytes(bytes)]),
  ];
  const table = ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`)];
  const title = adapters.length > 0 ? `${base} with ${adapters.join(' and ')} merged in` : base;
  return `---
base_model: ${JSON.stringify(base)}
library_name: gguf
pipeline_tag: text-generation
tags:
- gguf
- qlorajs
---

# ${title}

Written by qlorajs ${VERSION}.

${table.join('\n')}

\`\`\`sh
llama-cli -m model.gguf            # llama.cpp
ollama create my-model -f Modelfile
\`\`\`
`;
}
