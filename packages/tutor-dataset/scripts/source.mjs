// Reads data/src/*.txt (Spanish) and data/src/en/*.txt (English): one file a topic, one chat after
// each `=== level | skill, skill` line, its turns after `<|user|>` and `<|assistant|>` lines, and
// after `<|check|>` the Python that proves what its prose claims (never part of the dataset).
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const languages = [
  {
    language: 'es',
    folder: new URL('../data/src/', import.meta.url),
    prefix: '',
    systemPrompt: 'Eres un tutor de algoritmos. Explica en español, paso a paso.',
  },
  {
    language: 'en',
    folder: new URL('../data/src/en/', import.meta.url),
    prefix: 'en-',
    systemPrompt: 'You are an algorithms tutor. Explain in English, step by step.',
  },
];

function parseChat({ language, prefix, systemPrompt }, topic, number, text) {
  const id = `${prefix}${topic}-${String(number).padStart(2, '0')}`;
  const [head, ...parts] = text.split(/^<\|(user|assistant|check)\|>\n/m);
  const [level, skills] = head.split('|').map((each) => each.trim());
  if (!skills || parts.length < 4) {
    throw new Error(
      `${topic}.txt, chat ${number}: needs "=== level | skills" and the turns <|user|>, <|assistant|>`,
    );
  }
  const messages = [{ role: 'system', content: systemPrompt }];
  let check = '';
  for (let i = 0; i < parts.length; i += 2) {
    const content = parts[i + 1].trim();
    if (parts[i] === 'check') check = content;
    else messages.push({ role: parts[i], content });
  }
  const named = skills.split(',').map((skill) => skill.trim());
  // What the text itself shows is not left to whoever writes the header.
  if (messages.some(({ content }) => /```(python|javascript)/.test(content))) {
    named.push('programar');
  }
  if (messages.length > 3) named.push('seguimiento');
  const row = { id, topic, level, language, skills: [...new Set(named)], messages };
  return { row, number, check };
}

/**
 * Every chat as `{ row, number, check }`, the Spanish ones first, `number` counting from 1 inside
 * its file.
 */
export function readChats() {
  return languages
    .filter(({ folder }) => existsSync(folder))
    .flatMap((source) =>
      readdirSync(source.folder)
        .filter((name) => name.endsWith('.txt'))
        .sort()
        .flatMap((name) =>
          readFileSync(new URL(name, source.folder), 'utf8')
            .split(/^=== /m)
            .slice(1)
            .map((text, at) => parseChat(source, name.replace(/\.txt$/, ''), at + 1, text)),
        ),
    );
}

/**
 * The 5th of every ten chats of a file validates and the 10th tests (in English, whose files are
 * shorter, the 7th), so a row never changes split as long as chats are appended to their file.
 */
export function splitOf({ number, row }) {
  if (number % 10 === 5) return 'validation';
  return number % 10 === (row.language === 'en' ? 7 : 0) ? 'test' : 'train';
}
