// node scripts/check.mjs: runs every Python block of the answers and every <|check|> in Pyodide (so
// that no Python need be installed), every JavaScript block with node, and looks every claimed
// complexity up in data/complexity.json.
import { readFileSync } from 'node:fs';
import { loadPyodide } from 'pyodide';
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

const toRun = chats.map(({ row, check }) => ({
  id: row.id,
  check,
  blocks: blocksOf(row, 'python'),
}));
const python = await loadPyodide();
python.runPython(readFileSync(new URL('run_blocks.py', import.meta.url), 'utf8'));
const pythonFaults = JSON.parse(python.globals.get('faults_of')(JSON.stringify(toRun)));
// A check that cannot fail is none: a block that says the wrong thing must be found.
const planted = [{ id: 'planted', check: 'assert 1 > 2', blocks: ['print(1 + 1)  # 3'] }];
if (JSON.parse(python.globals.get('faults_of')(JSON.stringify(planted))).length !== 2)
  throw new Error('run_blocks.py does not find the faults that were planted');
if (javascriptFaults('console.log(1 + 1); // 3').length !== 1)
  throw new Error('run-javascript.mjs does not find the fault that was planted');
const count = (of) => toRun.reduce((sum, chat) => sum + of(chat), 0);
console.log(
  `${count(({ blocks }) => blocks.length)} Python blocks and ${count(({ check }) => Number(check !== ''))} checks ran, ${pythonFaults.length} faults`,
);

const scripts = chats.flatMap(({ row }) =>
  blocksOf(row, 'javascript').map((code) => ({ id: row.id, code })),
);
const scriptFaults = scripts.flatMap(({ id, code }) =>
  javascriptFaults(code).map((fault) => `${id}: ${fault}`),
);
console.log(`${scripts.length} JavaScript blocks ran, ${scriptFaults.length} faults`);
const complexity = checkComplexity(chats);
console.log(
  `${complexity.claimed} complexity claims looked up, ${complexity.faults.length} faults`,
);
const faults = [...pythonFaults, ...scriptFaults, ...complexity.faults];
for (const fault of faults) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
