import { createInterface } from 'node:readline';
import { Conversation, type Turn } from '../model/conversation.js';
import { openSession } from '../model/session.js';
import {
  adaptersOption,
  backendOptions,
  optionalBaseOption,
  quantizationOptions,
} from '../options/common-options.js';
import { type GenerationSettings, generationOptions } from '../options/generation-options.js';
import { EXIT } from '../report/failure.js';
import { paint, type Ui } from '../report/ui.js';
import { verb } from './verb.js';

const HELP = '/reset forgets the conversation, /use NAME changes the adapter, /exit leaves';

/** Lines of stdin with a prompt on a terminal; Ctrl-C stops the answer under way, else the chat. */
class Console {
  readonly interactive = process.stdin.isTTY === true;
  readonly #lines = createInterface({
    input: process.stdin,
    output: this.interactive ? process.stderr : undefined,
  });
  #answering: AbortController | null = null;
  interrupted = false;

  constructor() {
    const interrupt = () => {
      if (this.#answering) return this.#answering.abort();
      this.interrupted = true;
      this.#lines.close();
    };
    this.#lines.on('SIGINT', interrupt);
    process.on('SIGINT', interrupt);
  }

  async *lines(): AsyncGenerator<string> {
    this.#ask();
    for await (const line of this.#lines) {
      if (line.trim() !== '') yield line.trim();
      this.#ask();
    }
  }

  #ask(): void {
    if (!this.interactive) return;
    this.#lines.setPrompt(paint('bold', 'you> ', process.stderr));
    this.#lines.prompt();
  }

  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#answering = new AbortController();
    try {
      return await work(this.#answering.signal);
    } finally {
      this.#answering = null;
    }
  }

  close(): void {
    this.#lines.close();
  }
}

/** Runs `/reset` or `/use`. @returns false for a command that does not exist */
function command(line: string, conversation: Conversation, ui: Ui): boolean {
  const [name, ...rest] = line.split(/\s+/);
  if (name === '/reset') {
    conversation.reset();
    ui.info('the conversation starts anew');
    return true;
  }
  if (name !== '/use') return false;
  conversation.use(rest.join(' '));
  ui.info(`${conversation.voice.name} answers from here on`);
  return true;
}

function notices(turn: Turn, context: number, ui: Ui): void {
  if (turn.forgotten > 0)
    ui.warn(
      `the context of ${context} tokens was full: the oldest ${turn.forgotten} exchanges are forgotten`,
    );
  if (turn.finish_reason === 'context')
    ui.warn(`the context of ${context} tokens is full: the answer was cut; /reset starts anew`);
  if (turn.finish_reason === 'length') ui.info('(cut at --max-new-tokens)');
}

async function talk(
  terminal: Console,
  conversation: Conversation,
  settings: GenerationSettings & { readonly context: number },
  ui: Ui,
): Promise<object[]> {
  const turns: object[] = [];
  for await (const line of terminal.lines()) {
    if (line === '/exit') break;
    try {
      if (line.startsWith('/')) {
        if (!command(line, conversation, ui)) ui.warn(`${line} is no command; ${HELP}`);
        continue;
      }
      const onText = (piece: string) => ui.print(piece);
      const turn = await terminal.during((signal) =>
        conversation.say(line, settings, { signal, onText }),
      );
      ui.print('\n');
      notices(turn, settings.context, ui);
      turns.push({ voice: conversation.voice.name, question: line, ...turn });
    } catch (error) {
      if (!terminal.interactive) throw error;
      ui.warn((error as Error).message);
    }
  }
  return turns;
}

export const chat = verb({
  name: 'chat',
  summary: 'a conversation; each line of stdin is a turn',
  options: {
    ...optionalBaseOption,
    ...adaptersOption,
    ...generationOptions,
    ...quantizationOptions,
    ...backendOptions,
  },
  async run(options, ui) {
    const session = await openSession(options, options.adapter ?? [], ui);
    const conversation = new Conversation(session, options.system);
    const terminal = new Console();
    try {
      if (terminal.interactive)
        ui.info(
          `${session.voices.map(({ name }) => name).join(', ')} on ${session.base.name}. ${HELP}`,
        );
      const context = session.model.config.maxPositions;
      const turns = await talk(terminal, conversation, { ...options, context }, ui);
      ui.result({ base: session.base.name, turns });
      return terminal.interrupted ? EXIT.interrupted : EXIT.done;
    } finally {
      terminal.close();
      await session.close();
    }
  },
});
