// node scripts/build.mjs [--check]: data/src/*.txt → data/*.jsonl, or with --check says whether the
// files are what the sources give.
import { readFileSync, writeFileSync } from 'node:fs';
import { readChats, splitOf } from './source.mjs';

const files = {
  train: 'tutor_dataset.jsonl',
  validation: 'validation.jsonl',
  test: 'test.jsonl',
};
// One chat of every topic, then the next of each: any first N rows are a mixture. English follows.
const last = (chat) => Number(chat.row.language === 'en');
const chats = readChats().sort((a, b) => last(a) - last(b) || a.number - b.number);

for (const [split, name] of Object.entries(files)) {
  const rows = chats.filter((chat) => splitOf(chat) === split).map(({ row }) => row);
  const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const file = new URL(`../data/${name}`, import.meta.url);
  if (process.argv.includes('--check')) {
    if (readFileSync(file, 'utf8') !== text) {
      throw new Error(`data/${name} is not what data/src gives: run node scripts/build.mjs`);
    }
  } else {
    writeFileSync(file, text);
    console.log(`data/${name}: ${rows.length} chats`);
  }
}
