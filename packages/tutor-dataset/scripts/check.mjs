// node scripts/check.mjs: runs every Python block of the answers and every <|check|> with python3,
// every JavaScript block with node, and looks every claimed complexity up in data/complexity.json.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { checkComplexity } from './complexity.mjs';
import { javascriptFaults } from './run-javascript.mjs';
import { readChats } from './source.mjs';

const chats = readChats();
const blocksOf = (row, language) =>
  row.messages
    .filter(({ role }) => role === 'assistant')
    .flatMap(({ content }) =>
      [...content.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\\n\`\`\``, 'g'))].map(
        (match) => match[1],
      ),
    );

const { status } = spawnSync(
  'python3',
  [fileURLToPath(new URL('run_blocks.py', import.meta.url))],
  {
    input: JSON.stringify(
      chats.map(({ row, check }) => ({ id: row.id, check, blocks: blocksOf(row, 'python') })),
    ),
    stdio: ['pipe', 'inherit', 'inherit'],
  },
);

const blocks = chats.flatMap(({ row }) =>
  blocksOf(row, 'javascript').map((code) => ({ id: row.id, code })),
);
const faults = blocks.flatMap(({ id, code }) =>
  javascriptFaults(code).map((fault) => `${id}: ${fault}`),
);
console.log(`${blocks.length} JavaScript blocks ran, ${faults.length} faults`);
const complexity = checkComplexity(chats);
console.log(
  `${complexity.claimed} complexity claims looked up, ${complexity.faults.length} faults`,
);
for (const fault of [...faults, ...complexity.faults]) console.error(fault);
process.exitCode = faults.length + complexity.faults.length > 0 ? 1 : (status ?? 1);
