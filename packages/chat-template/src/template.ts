import { Environment, Template } from '@huggingface/jinja';
import { QLoraError } from '@qlorajs/errors';
import { BoundedInterpreter } from './bounded-interpreter.js';
import { type Diagnosis, diagnose } from './diagnose.js';
import {
  extractSpans,
  type GenerationMarkers,
  isGenerationTag,
  markerVariables,
  replaceGenerationTags,
} from './generation.js';
import { renderError, templateGlobals } from './globals.js';
import { MARKER_CANDIDATES, stringsIn, unusedCharacters } from './private-characters.js';
import { pythonWhiteSpace } from './python-whitespace.js';
import { scanTags } from './tags.js';

/** One turn of a chat, as in OpenAI's and Hugging Face's message lists. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** A stretch of a rendered chat that the loss covers: UTF-16 offsets, `end` excluded. */
export interface GenerationSpan {
  readonly start: number;
  readonly end: number;
  /** Index of the message whose content it holds; -1 if no assistant message fits. */
  readonly message: number;
}

/** A chat as one text. */
export interface RenderedChat {
  readonly text: string;
  /** What `{% generation %}` marks, in order; empty for a template without these tags. */
  readonly spans: readonly GenerationSpan[];
}

/** Options of {@link ChatTemplate.render}. */
export interface RenderOptions {
  /** Ends the text with the opening of an assistant's turn. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables: `bos_token`, `eos_token`, `tools` … They win over the globals. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** A compiled chat template. */
export interface ChatTemplate {
  readonly source: string;
  /** Whether it says what the assistant wrote; without it there is nothing to train on but everything. */
  readonly hasGenerationTags: boolean;
  /**
   * @throws QLoraError `CHAT_TEMPLATE_RAISED` when the template calls `raise_exception`,
   * `CHAT_TEMPLATE_LIMIT` when it is stopped, since it takes too long or writes too much;
   * `CHAT_TEMPLATE_RENDER` when it fails otherwise.
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): RenderedChat;
}

/** In UTF-16 units; the templates of Hugging Face models have 1,000 to 20,000. */
const MAX_SOURCE = 2 ** 20;
/** Longer runs of white space make the library's own patterns slow: it needs their square. */
const LONG_SPACE = /\s{1001}/;

function syntaxError(source: string, cause?: unknown): QLoraError {
  const found: Diagnosis | null = diagnose(source);
  const reason = found?.reason ?? (cause instanceof Error ? cause.message : String(cause));
  const where = found === null ? '' : ` at line ${found.line}`;
  return new QLoraError(
    'CHAT_TEMPLATE_SYNTAX',
    `The chat template does not compile${where}: ${reason}; mend the template, or take another one`,
    { cause, details: { reason, ...(found && { line: found.line }) } },
  );
}

function tooLarge(source: string): QLoraError {
  const { length } = source;
  return new QLoraError(
    'CHAT_TEMPLATE_SYNTAX',
    `The chat template is refused: ${length > MAX_SOURCE ? `it has ${length} characters, at most ${MAX_SOURCE} are read` : 'it has more than 1000 white space characters in a row'}; take another one`,
    { details: { length, limit: MAX_SOURCE } },
  );
}

function messageOf(span: string, messages: readonly ChatMessage[], from: number): number {
  for (let index = Math.max(from, 0); index < messages.length; index++) {
    const { role, content } = messages[index]!;
    const fits = typeof content === 'string' && span.includes(content.trim());
    if (role === 'assistant' && fits) return index;
  }
  return -1;
}

function locate(
  text: string,
  spans: readonly { start: number; end: number }[],
  messages: readonly ChatMessage[],
): GenerationSpan[] {
  let next = 0;
  return spans.map(({ start, end }) => {
    const message = messageOf(text.slice(start, end), messages, next);
    if (message >= 0) next = message + 1;
    return { start, end, message };
  });
}

/**
 * Compiles a Hugging Face chat template: Jinja with `trim_blocks`, `lstrip_blocks`, loop controls,
 * `raise_exception`, `strftime_now` and `{% generation %}`, as `apply_chat_template` compiles it.
 *
 * A template is a program that comes with a model. It touches nothing outside its variables, and it is
 * stopped after 2 million steps, 5 seconds, 16 Mi characters or a list of a million.
 *
 * @throws QLoraError `CHAT_TEMPLATE_SYNTAX`, with the line where it can be told.
 *
 * @example
 * ```ts
 * import { compileChatTemplate, TUTOR_CHAT_TEMPLATE } from '@qlorajs/chat-template';
 *
 * const template = compileChatTemplate(TUTOR_CHAT_TEMPLATE);
 * const { text, spans } = template.render([
 *   { role: 'user', content: 'What is a stack?' },
 *   { role: 'assistant', content: 'Last in, first out.' },
 * ]);
 * console.log(text.slice(spans[0]!.start, spans[0]!.end)); // Last in, first out.<|end|>
 * ```
 */
export function compileChatTemplate(source: string): ChatTemplate {
  let program: Template['parsed'];
  let hasGenerationTags: boolean;
  if (source.length > MAX_SOURCE || LONG_SPACE.test(source)) throw tooLarge(source);
  try {
    // Jinja counts every line ending of a template as a line feed.
    const normalized = source.replace(/\r\n?/g, '\n');
    const tags = scanTags(normalized);
    hasGenerationTags = tags.some(isGenerationTag);
    program = new Template(replaceGenerationTags(normalized, tags)).parsed;
  } catch (error) {
    throw syntaxError(source, error);
  }
  if (hasGenerationTags && diagnose(source) !== null) throw syntaxError(source);

  const run = (variables: Record<string, unknown>): string => {
    const environment = new Environment();
    for (const [name, value] of Object.entries(variables)) environment.set(name, value);
    try {
      const result = new BoundedInterpreter(environment).run(program);
      return String(result.value);
    } catch (error) {
      throw renderError(error);
    }
  };

  return {
    source,
    hasGenerationTags,
    render(messages, options = {}) {
      const texts = [source, ...stringsIn(messages), ...stringsIn(options.variables)];
      const [start, end, spare] = unusedCharacters(MARKER_CANDIDATES, texts, 3);
      const markers: GenerationMarkers = { start: start!, end: end! };
      const disguise = pythonWhiteSpace(texts, spare!);
      const hidden = disguise.hide(messages) as readonly ChatMessage[];
      const { namespace: _, ...variables } = { ...options.variables };
      const marked = run({
        ...templateGlobals(),
        tools: null,
        documents: null,
        add_generation_prompt: options.addGenerationPrompt ?? false,
        ...(disguise.hide(variables) as Record<string, unknown>),
        messages: hidden,
        ...markerVariables(markers),
      });
      const { text, spans } = extractSpans(marked, markers);
      // A stand-in is as long as what it stands for, so offsets hold for the revealed text.
      return { text: disguise.reveal(text), spans: locate(text, spans, hidden) };
    },
  };
}
