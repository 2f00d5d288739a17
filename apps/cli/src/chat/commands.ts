import { QLoraError } from '@qlorajs/errors';
import { type Conversation, nearest } from '@qlorajs/session';
import { writeWhole } from '../io/atomic.js';
import type { Ui } from '../report/ui.js';

/** What a command can do beside changing the conversation. */
export interface CommandContext {
  readonly conversation: Conversation;
  readonly ui: Ui;
  /** Answers a question in the conversation. */
  readonly say: (text: string) => Promise<void>;
  /** Lets voices answer a question side by side. */
  readonly compare: (names: readonly string[], question: string) => Promise<void>;
  /** Puts another adapter on the base and returns its name. */
  readonly load: (folder: string) => Promise<string>;
}

interface CommandSpec {
  readonly usage: string;
  readonly does: string;
  run(argument: string, context: CommandContext): void | Promise<void>;
}

function needed(argument: string, usage: string): string {
  if (argument !== '') return argument;
  throw new QLoraError('CHAT_COMMAND', `it goes ${usage}`);
}

function lastQuestion(conversation: Conversation): string {
  const question = conversation.messages.findLast(({ role }) => role === 'user');
  if (question) return question.content;
  throw new QLoraError('CHAT_COMMAND', 'nothing was asked yet');
}

const COMMANDS: Readonly<Record<string, CommandSpec>> = {
  '/use': {
    usage: '/use NAME',
    does: 'another adapter answers from here on',
    run(name, { conversation, ui }) {
      conversation.use(needed(name, this.usage));
      ui.info(`${conversation.voice.name} answers from here on`);
    },
  },
  '/list': {
    usage: '/list',
    does: 'the adapters that are loaded',
    run(_, { conversation, ui }) {
      for (const { name } of conversation.voices)
        ui.print(`${name === conversation.voice.name ? '*' : ' '} ${name}\n`);
    },
  },
  '/load': {
    usage: '/load DIR',
    does: 'puts another adapter on the base',
    async run(folder, { load, ui }) {
      const started = performance.now();
      const name = await load(needed(folder, this.usage));
      ui.info(`${name} is loaded (${(performance.now() - started).toFixed(0)} ms); /use ${name}`);
    },
  },
  '/compare': {
    usage: '/compare NAME NAME [QUESTION]',
    does: 'two adapters answer side by side, the last question if none is given',
    async run(argument, { conversation, compare }) {
      const [, one, other, question] = /^(\S+)\s+(\S+)\s*([\s\S]*)$/.exec(argument) ?? [];
      if (other === undefined) throw new QLoraError('CHAT_COMMAND', `it goes ${this.usage}`);
      await compare([one, other], question || lastQuestion(conversation));
    },
  },
  '/system': {
    usage: '/system [TEXT]',
    does: 'shows or changes the system message; /system - is none',
    run(text, { conversation, ui }) {
      if (text !== '') conversation.system = text === '-' ? '' : text;
      ui.info(`system: ${conversation.system || '(none)'}`);
    },
  },
  '/undo': {
    usage: '/undo',
    does: 'takes the last question and its answer back',
    run(_, { conversation, ui }) {
      const question = conversation.undo();
      ui.info(question === null ? 'nothing was asked yet' : `taken back: ${question}`);
    },
  },
  '/edit': {
    usage: '/edit TEXT',
    does: 'asks this instead of the last question',
    async run(text, { conversation, say }) {
      needed(text, this.usage);
      conversation.undo();
      await say(text);
    },
  },
  '/retry': {
    usage: '/retry',
    does: 'asks the last question again',
    async run(_, { conversation, say }) {
      const question = lastQuestion(conversation);
      conversation.undo();
      await say(question);
    },
  },
  '/reset': {
    usage: '/reset',
    does: 'forgets the conversation',
    run(_, { conversation, ui }) {
      conversation.reset();
      ui.info('the conversation starts anew');
    },
  },
  '/save': {
    usage: '/save FILE',
    does: 'writes the conversation as one row of a dataset',
    async run(file, { conversation, ui }) {
      const messages = [...conversation.systemMessages, ...conversation.messages];
      await writeWhole(needed(file, this.usage), `${JSON.stringify({ messages })}\n`);
      ui.info(`${file}: ${messages.length} messages`);
    },
  },
  '/help': {
    usage: '/help',
    does: 'this list',
    run(_, { ui }) {
      for (const { usage, does } of Object.values(COMMANDS)) ui.info(`${usage.padEnd(32)}${does}`);
      ui.info(`${'/exit'.padEnd(32)}leaves`);
      ui.info(
        'a line that ends in \\ goes on in the next; """ begins and ends a text of many lines',
      );
    },
  },
};

/** Runs a line that begins with `/`. @throws QLoraError `CHAT_COMMAND`, and what the command throws */
export async function runCommand(line: string, context: CommandContext): Promise<void> {
  const [, name, argument] = /^(\S+)\s*([\s\S]*)$/.exec(line)!;
  const command = COMMANDS[name];
  if (!command) {
    const close = nearest(name, Object.keys(COMMANDS));
    throw new QLoraError(
      'CHAT_COMMAND',
      `${name} is no command; the nearest is ${close}, /help lists all`,
    );
  }
  await command.run(argument.trim(), context);
}
