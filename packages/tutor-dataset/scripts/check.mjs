// node scripts/check.mjs: runs every Python block of the answers and every <|check|> with python3.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { readChats } from './source.mjs';

const chats = readChats().map(({ row, check }) => ({
  id: row.id,
  check,
  blocks: row.messages
    .filter(({ role }) => role === 'assistant')
    .flatMap(({ content }) =>
      [...content.matchAll(/```python\n([\s\S]*?)\n```/g)].map((match) => match[1]),
    ),
}));
const { status } = spawnSync(
  'python3',
  [fileURLToPath(new URL('run_blocks.py', import.meta.url))],
  {
    input: JSON.stringify(chats),
    stdio: ['pipe', 'inherit', 'inherit'],
  },
);
process.exitCode = status ?? 1;
