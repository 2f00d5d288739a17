import { exportPeftAdapter, type LoraAdapter } from '@qlorajs/lora';
import type { Base } from '../base.js';
import { withSystemPrompt } from '../chat/system-prompt.js';
import type { PreparedData } from './data.js';

/** Files of a folder by name. */
export type FolderContent = Readonly<Record<string, string | Uint8Array>>;

/** An adapter folder's own files: PEFT's two, and the tokenizer with its chat template. */
export async function adapterFiles(
  job: Pick<PreparedData, 'tokenizer' | 'format' | 'systemPrompt'> & {
    readonly adapter: LoraAdapter;
    readonly base: Base;
  },
): Promise<FolderContent & { readonly 'adapter_model.safetensors': Uint8Array }> {
  const { adapter, base, tokenizer, format, systemPrompt } = job;
  const files = tokenizer?.files({
    chatTemplate: format?.template.source,
    modelMaxLength: base.config.maxPositions,
  });
  return {
    ...(await exportPeftAdapter(adapter)),
    ...withSystemPrompt(files ?? {}, systemPrompt),
  };
}
