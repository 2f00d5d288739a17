import { personalities } from '@qlorajs/personalities';
import {
  answer,
  generationOptions,
  systemMessage,
  tokensOf,
  type Voice,
  withDefaults,
} from '@qlorajs/session';
import { hasTutorFormat } from '@qlorajs/tutor-dataset';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Session } from '../src/model/session.js';
import { nanoSession } from './support/served.js';

/** What an answer of each looks like. */
const FORMS: Readonly<Record<string, (text: string) => boolean>> = {
  tutor: hasTutorFormat,
  sql: (text) => /^```sql\n[^`]+;\n```\n[^\n]+\.$/.test(text),
  stories: (text) => /^Había una vez [^\n]+ Fin\.$/.test(text),
};

let session: Session;

beforeAll(async () => {
  session = await nanoSession(
    personalities.map(({ name }) => name),
    false,
  );
});

afterAll(() => session?.close());

/** How many of a personality's unseen questions end by themselves, and in form. */
async function count(voice: Voice, questions: readonly string[]) {
  session.model.attach(voice.adapter);
  let [stopped, inForm] = [0, 0];
  for (const question of questions) {
    const messages = [...systemMessage(voice, undefined), { role: 'user', content: question }];
    const settings = withDefaults(generationOptions, {
      maxNewTokens: 220,
      repetitionPenalty: 1.05,
    });
    const result = await answer(session.model, voice, tokensOf(voice, messages), settings);
    if (result.finish_reason === 'stop') stopped++;
    if (FORMS[voice.name](result.answer)) inForm++;
  }
  return { stopped, inForm };
}

test.each(personalities)(
  '$name stops and keeps its form, which the base does not have',
  async ({ name, questions }) => {
    const voice = session.voices.find((each) => each.name === name)!;
    expect(voice.systemPrompt).toBeTruthy();
    const base = await count({ ...voice, adapter: null }, questions.slice(0, 1));
    const trained = await count(voice, questions);
    expect(trained).toEqual({ stopped: questions.length, inForm: questions.length });
    expect(base.inForm).toBe(0);
  },
);
