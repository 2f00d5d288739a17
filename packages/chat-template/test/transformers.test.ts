import { readFileSync } from 'node:fs';
import { isQLoraError } from '@qlorajs/errors';
import { describe, expect, test } from 'vitest';
import { type ChatMessage, compileChatTemplate, TUTOR_CHAT_TEMPLATE } from '../src/index.js';

interface Case {
  readonly template: string;
  readonly chat: string;
  readonly messages: ChatMessage[];
  readonly addGenerationPrompt: boolean;
  readonly text?: string;
  readonly spans?: [number, number][];
  readonly raised?: string;
}

const fixture = (name: string) =>
  readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8');
const { variables, cases } = JSON.parse(fixture('rendered.json')) as {
  variables: Record<string, string>;
  cases: Case[];
};

function outcome(one: Case): Pick<Case, 'text' | 'spans' | 'raised'> {
  const template = compileChatTemplate(fixture(`templates/${one.template}`));
  try {
    const { text, spans } = template.render(one.messages, {
      addGenerationPrompt: one.addGenerationPrompt,
      variables,
    });
    return { text, spans: spans.map(({ start, end }) => [start, end]) };
  } catch (error) {
    if (!isQLoraError(error)) throw error;
    return { raised: String(error.details.reason) };
  }
}

describe('renders what transformers renders', () => {
  test.each(cases.map((one) => [one.template, one.chat, one.addGenerationPrompt, one] as const))(
    '%s, %s, prompt %s',
    (_template, _chat, _prompt, one) => {
      const { text, spans, raised } = one;
      expect(outcome(one)).toEqual(raised === undefined ? { text, spans } : { raised });
    },
  );
});

test('the tutor template in the fixtures is the exported one', () => {
  expect(TUTOR_CHAT_TEMPLATE).toBe(fixture('templates/tutor.jinja'));
});
