import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answer, generationOptions, systemMessage, tokensOf, withDefaults } from '@qlorajs/session';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../src/model/session.js';
import { Driven } from './support/driven.js';
import { temporaryFolder } from './support/qlora.js';
import { adapterPaths, nanoSession } from './support/served.js';

const folder = temporaryFolder();
const FLAGS = ['--max-new-tokens', '16', '--threads', '2', '--backend', 'wasm'];
const QUESTION = '¿Cómo cuento los productos?';

let session: Session;
let chat: Driven;

beforeAll(async () => {
  session = await nanoSession(['sql', 'stories', 'tutor'], false);
  const { sql, stories } = adapterPaths;
  chat = Driven.start(['chat', '--adapter', sql, '--adapter', stories, ...FLAGS]);
});

afterAll(async () => {
  chat.child.kill();
  await session?.close();
});

type Message = { readonly role: string; readonly content: string };
const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });

/** What a voice says to messages, computed anew. */
async function expectedAnswer(name: string, messages: readonly Message[], system?: string) {
  const voice = session.voices.find((each) => each.name === name)!;
  session.model.attach(voice.adapter);
  const ids = tokensOf(voice, [...systemMessage(voice, system), ...messages]);
  const settings = withDefaults(generationOptions, { maxNewTokens: 16 });
  return (await answer(session.model, voice, ids, settings)).answer;
}

/** Says something; what is listed afterwards marks the end of the answer. */
async function said(text: string): Promise<string> {
  const { stdout } = await chat.tell(`${text}\n/list`, 'stdout', /^\* \S+\n(?: {2}.*\n)*/m);
  return stdout.replace(/\n(?:[* ] \S+\n)+$/, '');
}

/** The conversation, as `/save` writes it. */
async function saved(): Promise<Message[]> {
  const file = join(folder, 'saved.jsonl');
  await chat.tell(`/save ${file}`, 'stderr', /saved\.jsonl: \d+ messages/);
  return JSON.parse(readFileSync(file, 'utf8')).messages;
}
const withoutSystem = (messages: readonly Message[]) =>
  messages.filter(({ role }) => role !== 'system');

describe('commands', () => {
  test('a question is answered by the first adapter, with the system message it was trained with', async () => {
    const text = await said(QUESTION);
    expect(text).toBe(await expectedAnswer('sql', [user(QUESTION)]));
    expect((await saved())[0].role).toBe('system');
  });

  test('/list', async () => {
    const { stdout } = await chat.tell('/list', 'stdout', /stories\n/);
    expect(stdout).toBe('* sql\n  stories\n');
  });

  test('/use: another adapter goes on with the same conversation', async () => {
    const before = withoutSystem(await saved());
    await chat.tell('/use stories', 'stderr', /stories answers from here on/);
    const text = await said('¿Y ahora?');
    expect(text).toBe(await expectedAnswer('stories', [...before, user('¿Y ahora?')]));
    const { stdout } = await chat.tell('/list', 'stdout', /\* stories\n/);
    expect(stdout).toBe('  sql\n* stories\n');
  });

  test('/reset: the conversation starts anew, the adapter stays', async () => {
    await chat.tell('/reset', 'stderr', /starts anew/);
    expect(withoutSystem(await saved())).toEqual([]);
    expect(await said('Hola')).toBe(await expectedAnswer('stories', [user('Hola')]));
  });

  test('/undo takes the last question and its answer back', async () => {
    await said('Otra cosa');
    expect(withoutSystem(await saved())).toHaveLength(4);
    const { stderr } = await chat.tell('/undo', 'stderr', /taken back: .*\n/);
    expect(stderr).toContain('taken back: Otra cosa');
    expect(withoutSystem(await saved()).map(({ content }) => content)[0]).toBe('Hola');
    await chat.tell('/undo', 'stderr', /taken back: Hola/);
    await chat.tell('/undo', 'stderr', /nothing was asked yet/);
  });

  test('/edit asks something else instead of the last question', async () => {
    await said('Un gato');
    const text = await said('/edit Una luna');
    expect(text).toBe(await expectedAnswer('stories', [user('Una luna')]));
    expect(withoutSystem(await saved())).toEqual([user('Una luna'), assistant(text)]);
  });

  test('/retry asks the last question again', async () => {
    const text = await said('/retry');
    expect(withoutSystem(await saved())).toEqual([user('Una luna'), assistant(text)]);
  });

  test('/system shows, changes and removes the system message', async () => {
    await chat.tell('/reset', 'stderr', /anew/);
    const shown = await chat.tell('/system', 'stderr', /system: .+\n/);
    const own = session.voices.find(({ name }) => name === 'stories')!.systemPrompt!;
    expect(shown.stderr).toContain(own);
    await chat.tell('/system Habla como un pirata.', 'stderr', /system: Habla como un pirata\./);
    const text = await said('Hola');
    expect(text).toBe(await expectedAnswer('stories', [user('Hola')], 'Habla como un pirata.'));
    expect((await saved())[0]).toEqual({ role: 'system', content: 'Habla como un pirata.' });
    await chat.tell('/system -', 'stderr', /system: \(none\)/);
    await chat.tell('/reset', 'stderr', /anew/);
    expect(await said('Hola')).toBe(await expectedAnswer('stories', [user('Hola')], ''));
    expect((await saved())[0].role).toBe('user');
  });

  test('/load puts another adapter on the base', async () => {
    await chat.tell(`/load ${adapterPaths.tutor}`, 'stderr', /tutor is loaded \(\d+ ms\)/);
    await chat.tell('/use tutor', 'stderr', /tutor answers/);
    await chat.tell('/reset', 'stderr', /anew/);
    expect(await said('Hola')).toBe(await expectedAnswer('tutor', [user('Hola')], ''));
  });

  test('/compare: two adapters answer side by side, and the conversation stays as it is', async () => {
    const before = await saved();
    const texts = await said(`/compare sql stories ${QUESTION}`);
    const [sql, stories] = [
      await expectedAnswer('sql', [user(QUESTION)], ''),
      await expectedAnswer('stories', [user(QUESTION)], ''),
    ];
    expect(texts).toBe(`sql:\n${sql}\n\nstories:\n${stories}`);
    expect(await saved()).toEqual(before);
    // Without a question: the last one.
    expect(await said('/compare sql tutor')).toContain(
      `tutor:\n${await expectedAnswer('tutor', [user('Hola')], '')}`,
    );
  });

  test('/save writes a row of a dataset', async () => {
    const row = await saved();
    expect(row).toEqual([
      user('Hola'),
      assistant(await expectedAnswer('tutor', row.slice(0, 1), '')),
    ]);
  });

  test('lines that go on, and texts between fences', async () => {
    await chat.tell('/reset', 'stderr', /anew/);
    await said('uno\\\ndos');
    await said('"""\ndef f():\n    return 1\n\n/no es una orden\n"""');
    expect(withoutSystem(await saved()).filter(({ role }) => role === 'user')).toEqual([
      user('uno\ndos'),
      user('def f():\n    return 1\n\n/no es una orden'),
    ]);
  });

  test('a mistyped command names the nearest, and a command without its word its form', async () => {
    await chat.tell('/retri', 'stderr', /\/retri is no command; the nearest is \/retry/);
    await chat.tell('/edit', 'stderr', /it goes \/edit TEXT/);
    const { stderr } = await chat.tell('/help', 'stderr', /many lines\n/);
    for (const name of ['use', 'list', 'load', 'compare', 'system', 'undo', 'edit', 'retry'])
      expect(stderr).toContain(`/${name}`);
  });

  test('/exit leaves', async () => {
    chat.write('/exit\n');
    expect(await chat.ended).toMatchObject({ code: 0 });
  });
});

/** Words at random, which hardly ever stop by themselves. */
const ENDLESS = ['--temperature', '3', '--max-new-tokens', '450', '--backend', 'wasm'];

test('SIGINT stops an answer and not the program; at the prompt it leaves with 130', async () => {
  const endless = Driven.start(['chat', '--base', 'phi-nano', ...ENDLESS, '--threads', '1']);
  endless.write('Hola\n');
  await endless.until('stdout', /\S/);
  endless.child.kill('SIGINT');
  await endless.until('stderr', /\(stopped\)/);
  await endless.tell('/list', 'stdout', /\* phi-nano/);
  endless.child.kill('SIGINT');
  expect(await endless.ended).toMatchObject({ code: 130, signal: null });
});

/** util-linux's, which gives a command a terminal; macOS has another. */
const hasScript =
  process.platform === 'linux' &&
  spawnSync('script', ['--version'], { stdio: 'ignore' }).status === 0;

test.skipIf(!hasScript)(
  hasScript
    ? 'on a terminal: Ctrl-C stops the answer, drops a line, and twice leaves'
    : 'skipped: `script` (util-linux) is not installed, which gives chat a terminal',
  async () => {
    const command = fileURLToPath(new URL('../bin/qlora.js', import.meta.url));
    const line = [process.execPath, command, 'chat', '--base', 'phi-nano', ...ENDLESS].join(' ');
    const child = spawn('script', ['-qec', line, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm', HF_HUB_OFFLINE: '1' },
    });
    child.stdout.setEncoding('utf8');
    child.stderr.setEncoding('utf8');
    const ended = new Promise<{ code: number | null }>((resolve) =>
      child.on('close', (code) => resolve({ code })),
    );
    // A terminal shows both streams in one.
    const terminal = new Driven({ child, ended: ended as never });
    const CTRL_C = '\x03';
    await terminal.until('stdout', /you> /);
    terminal.write('Hola\r');
    await terminal.until('stdout', /Hola[^\n]*\n[\s\S]*\S/);
    terminal.write(CTRL_C);
    await terminal.until('stdout', /\(stopped\)[\s\S]*you> /);
    terminal.write('a medias');
    await terminal.until('stdout', /a medias/);
    terminal.write(CTRL_C);
    await terminal.until('stdout', /Ctrl-C once more leaves[\s\S]*you> /);
    terminal.write('/list\r');
    await terminal.until('stdout', /\* phi-nano[\s\S]*you> /);
    terminal.write(CTRL_C);
    await terminal.until('stdout', /once more leaves[\s\S]*you> /);
    terminal.write(CTRL_C);
    expect(await ended).toEqual({ code: 130 });
  },
);
