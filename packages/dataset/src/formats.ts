import type { z } from 'zod';
import type { ChatMessage, Fault, Row, RowFormat } from './row.js';
import { fieldFault, formatOf, SCHEMAS } from './schema.js';

/** Roles as OpenAI, Hugging Face and ShareGPT call them. */
const ROLES: ReadonlyMap<string, ChatMessage['role']> = new Map([
  ['system', 'system'],
  ['user', 'user'],
  ['human', 'user'],
  ['assistant', 'assistant'],
  ['gpt', 'assistant'],
]);

/** White space for JavaScript or for Python (some control characters): a template may trim it away. */
const BLANK = /^[\s\p{Cc}]*$/u;

function blank(text: string): boolean {
  return BLANK.test(text);
}

function empty(where: string): Fault {
  return { code: 'DATASET_EMPTY', message: `${where} is empty; write it or drop the row` };
}

interface Turn {
  readonly role: string;
  readonly content: string;
  /** `messages[2]` */
  readonly where: string;
  readonly contentName: string;
}

function orderFault(
  turn: Turn,
  role: ChatMessage['role'],
  before: ChatMessage['role'] | null,
): Fault | null {
  const fault = (message: string): Fault => ({ code: 'DATASET_ORDER', message });
  if (role === 'system') {
    if (before === null) return null;
    return fault(`${turn.where} is a system turn; there may be one, and it comes first`);
  }
  if (role === 'assistant' && before !== 'user') {
    return before === 'assistant'
      ? fault(
          `${turn.where} is a second assistant turn in a row; join the two or put a user turn between`,
        )
      : fault(
          `${turn.where} is an assistant turn with no question before it; a user turn comes first`,
        );
  }
  if (role === 'user' && before === 'user') {
    return fault(
      `${turn.where} is a second user turn in a row; join the two or put the answer between`,
    );
  }
  return null;
}

/** Roles known, contents not empty, [system] user assistant user assistant …, at least one answer. */
function checkTurns(list: string, turns: readonly Turn[]): ChatMessage[] | Fault {
  if (turns.length === 0) return empty(list);
  const messages: ChatMessage[] = [];
  for (const turn of turns) {
    const role = ROLES.get(turn.role);
    if (role === undefined) {
      return {
        code: 'DATASET_ROLE',
        message: `${turn.where} has the role "${turn.role}"; use system, user (human) or assistant (gpt)`,
      };
    }
    if (blank(turn.content)) return empty(`${turn.where}.${turn.contentName}`);
    const wrong = orderFault(turn, role, messages.at(-1)?.role ?? null);
    if (wrong !== null) return wrong;
    messages.push({ role, content: turn.content });
  }
  if (!messages.some(({ role }) => role === 'assistant')) {
    return {
      code: 'DATASET_NO_ANSWER',
      message: `${list} has no assistant turn, so there is nothing to learn; add the answer or drop the row`,
    };
  }
  return messages;
}

type Data<F extends RowFormat> = z.infer<(typeof SCHEMAS)[F]>;

function isFault(value: readonly ChatMessage[] | Fault): value is Fault {
  return 'code' in value;
}

function chat(line: number, format: RowFormat, list: string, turns: readonly Turn[]): Row | Fault {
  const messages = checkTurns(list, turns);
  return isFault(messages) ? messages : { kind: 'chat', format, line, messages };
}

function fromMessages({ messages }: Data<'messages'>, line: number): Row | Fault {
  const turns = messages.map(({ role, content }, index) => {
    return { role, content, where: `messages[${index}]`, contentName: 'content' };
  });
  return chat(line, 'messages', 'messages', turns);
}

function fromShareGpt({ conversations }: Data<'sharegpt'>, line: number): Row | Fault {
  const turns = conversations.map((turn, index) => {
    const where = `conversations[${index}]`;
    return 'from' in turn
      ? { role: turn.from, content: turn.value, where, contentName: 'value' }
      : { role: turn.role, content: turn.content, where, contentName: 'content' };
  });
  return chat(line, 'sharegpt', 'conversations', turns);
}

/** Alpaca: the input goes under the instruction, two line feeds between. */
function fromInstruction(data: Data<'instruction'>, line: number): Row | Fault {
  const { instruction, input, output, system } = data;
  if (blank(instruction)) return empty('instruction');
  if (blank(output)) return empty('output');
  const question = input && !blank(input) ? `${instruction}\n\n${input}` : instruction;
  const messages: ChatMessage[] = [
    ...(system && !blank(system) ? [{ role: 'system' as const, content: system }] : []),
    { role: 'user', content: question },
    { role: 'assistant', content: output },
  ];
  return { kind: 'chat', format: 'instruction', line, messages };
}

function fromTokens(data: Data<'tokens'>, line: number): Row | Fault {
  const { input_ids: inputIds, labels = inputIds, attention_mask: mask } = data;
  const fault = (message: string): Fault => ({ code: 'DATASET_TOKENS', message });
  if (inputIds.length === 0) return empty('input_ids');
  if (labels.length !== inputIds.length) {
    return fault(
      `labels has ${labels.length} entries and input_ids ${inputIds.length}; they go in pairs`,
    );
  }
  if (mask !== undefined && (mask.length !== inputIds.length || mask.some((bit) => bit !== 1))) {
    return fault('attention_mask leaves tokens out; write rows without padding');
  }
  const wrong = inputIds.findIndex((id) => id < 0);
  if (wrong >= 0) return fault(`input_ids[${wrong}] is ${inputIds[wrong]}; ids are not negative`);
  const bad = labels.findIndex((label) => label < 0 && label !== -100);
  if (bad >= 0)
    return fault(`labels[${bad}] is ${labels[bad]}; a label is an id, or -100 for none`);
  return { kind: 'tokens', format: 'tokens', line, inputIds, labels };
}

function fromCompletion(data: Data<'prompt-completion'>, line: number): Row | Fault {
  const { prompt, completion } = data;
  if (blank(completion)) return empty('completion');
  return { kind: 'completion', format: 'prompt-completion', line, prompt, completion };
}

function fromText({ text }: Data<'text'>, line: number): Row | Fault {
  return blank(text) ? empty('text') : { kind: 'text', format: 'text', line, text };
}

function parsed<F extends RowFormat>(
  format: F,
  row: object,
  convert: (data: Data<F>) => Row | Fault,
): Row | Fault {
  const result = SCHEMAS[format].safeParse(row);
  return result.success ? convert(result.data as Data<F>) : fieldFault(row, result.error);
}

/** A JSON object as a row, or the first thing wrong with it. */
export function toRow(row: object, line: number): Row | Fault {
  const format = formatOf(row);
  switch (format) {
    case 'messages':
      return parsed(format, row, (data) => fromMessages(data, line));
    case 'sharegpt':
      return parsed(format, row, (data) => fromShareGpt(data, line));
    case 'instruction':
      return parsed(format, row, (data) => fromInstruction(data, line));
    case 'tokens':
      return parsed(format, row, (data) => fromTokens(data, line));
    case 'prompt-completion':
      return parsed(format, row, (data) => fromCompletion(data, line));
    case 'text':
      return parsed(format, row, (data) => fromText(data, line));
    case null: {
      const keys = Object.keys(row).slice(0, 8).join(', ') || 'none';
      return {
        code: 'DATASET_FORMAT',
        message: `the row has the keys ${keys}; it needs messages, conversations, prompt and completion, instruction and output, text, or input_ids`,
      };
    }
  }
}
