import { TUTOR_CHAT_TEMPLATE } from '@qlorajs/chat-template';
import type { ChatFormat } from '@qlorajs/session';

/** The tutor format as Ollama's Go template. */
const TUTOR_GO_TEMPLATE = `{{- range .Messages }}<|{{ .Role }}|>
{{ .Content }}<|end|>
{{ end }}<|assistant|>
`;

/** What a Modelfile says. */
export interface ModelfileOptions {
  /** `./model.gguf` */
  readonly from: string;
  readonly format: ChatFormat | null;
  readonly systemPrompt: string | undefined;
  readonly context: number;
}

/** Adapters bring prompts along, and a Modelfile has no escapes: a prompt must not end its own quotes. */
function quoted(text: string): string {
  const body = text.replaceAll('"""', "'''");
  return `"""${body}${body.endsWith('"') ? '\n' : ''}"""`;
}

/**
 * An Ollama Modelfile (https://docs.ollama.com/modelfile). Ollama's templates are Go's, not Jinja: the
 * tutor format is written, another one is left to what Ollama finds in the GGUF file.
 */
export function modelfile({ from, format, systemPrompt, context }: ModelfileOptions): string {
  const lines = [`FROM ${from}`];
  if (format !== null) {
    if (format.template.source === TUTOR_CHAT_TEMPLATE)
      lines.push(`TEMPLATE """${TUTOR_GO_TEMPLATE}"""`);
    else lines.push('# The chat template is in the GGUF file (tokenizer.chat_template).');
    for (const id of format.stopIds)
      lines.push(`PARAMETER stop ${JSON.stringify(format.tokenizer.decode([id]))}`);
  }
  if (systemPrompt !== undefined && systemPrompt !== '')
    lines.push(`SYSTEM ${quoted(systemPrompt)}`);
  lines.push(`PARAMETER num_ctx ${context}`, 'PARAMETER temperature 0');
  return `${lines.join('\n')}\n`;
}
