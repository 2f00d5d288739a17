import {
  adaptersOption,
  backendOptions,
  Conversation,
  compareVoices,
  type GenerationSettings,
  generationOptions,
  optionalBaseOption,
  quantizationOptions,
  type Turn,
} from '@qlorajs/session';
import { columns } from '../chat/columns.js';
import { type CommandContext, runCommand } from '../chat/commands.js';
import { Console } from '../chat/console.js';
import { loadVoice, openSession, type Session } from '../model/session.js';
import { EXIT } from '../report/failure.js';
import type { Ui } from '../report/ui.js';
import { verb } from './verb.js';

function notices(turn: Turn, context: number, ui: Ui): void {
  if (turn.forgotten > 0)
    ui.warn(
      `the context of ${context} tokens was full: the oldest ${turn.forgotten} exchanges are forgotten`,
    );
  if (turn.finish_reason === 'context')
    ui.warn(`the context of ${context} tokens is full: the answer was cut; /reset starts anew`);
  if (turn.finish_reason === 'length') ui.info('(cut at --max-new-tokens)');
  if (turn.finish_reason === 'aborted') ui.info('(stopped)');
}

/** Answers and comparisons, as the terminal shows them; `turns` collects what `--json` prints. */
function talk(
  session: Session,
  conversation: Conversation,
  terminal: Console,
  settings: GenerationSettings,
  ui: Ui,
  turns: object[],
): CommandContext {
  return {
    ...{ conversation, ui },
    async say(question) {
      const onText = (piece: string) => ui.print(piece);
      const turn = await terminal.during((signal) =>
        conversation.say(question, settings, { signal, onText }),
      );
      ui.print('\n');
      notices(turn, session.model.config.maxPositions, ui);
      turns.push({ voice: conversation.voice.name, question, ...turn });
    },
    async compare(names, question) {
      const voices = names.map((name) => conversation.voiceCalled(name));
      const answers = await terminal.during((signal) =>
        compareVoices(session.model, voices, question, settings, {
          ...{ system: conversation.givenSystem, signal },
        }),
      );
      const width = process.stdout.isTTY ? process.stdout.columns : 0;
      ui.print(
        width >= 40
          ? `${columns(answers, width)}\n`
          : answers.map(({ title, text }) => `${title}:\n${text}\n`).join('\n'),
      );
      turns.push({ question, compared: answers });
    },
    load: (folder) => loadVoice(session, conversation, folder, ui),
  };
}

export const chat = verb({
  name: 'chat',
  summary: 'a conversation; each line of stdin is a turn, /help lists commands',
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
    const terminal = new Console((text) => ui.info(text));
    const turns: object[] = [];
    const context = talk(session, conversation, terminal, options, ui, turns);
    try {
      const names = session.voices.map(({ name }) => name).join(', ');
      if (terminal.interactive) ui.info(`${names} on ${session.base.name}. /help lists commands`);
      for await (const text of terminal.texts()) {
        if (text === '/exit') break;
        try {
          await (text.startsWith('/') ? runCommand(text, context) : context.say(text));
        } catch (error) {
          const mistyped = (error as { code?: string }).code === 'CHAT_COMMAND';
          if (!terminal.interactive && !mistyped) throw error;
          ui.warn((error as Error).message);
        }
      }
      ui.result({ base: session.base.name, turns });
      return terminal.interrupted ? EXIT.interrupted : EXIT.done;
    } finally {
      terminal.close();
      await session.close();
    }
  },
});
