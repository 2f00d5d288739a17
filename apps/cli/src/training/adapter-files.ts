import { exportPeftAdapter } from '@qlorajs/lora';
import type { FolderContent } from '../io/atomic.js';
import { withSystemPrompt } from '../model/system-prompt.js';
import type { TrainingJob } from './prepare.js';

/** An adapter folder's own files: PEFT's two, and the tokenizer with its chat template. */
export async function adapterFiles(job: TrainingJob): Promise<FolderContent> {
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
