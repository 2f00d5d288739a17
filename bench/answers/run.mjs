// First-token time, tokens a second for 1, 4 and 16 clients, and what changing adapters costs, on phi-nano:
//   node bench/answers/run.mjs [PYTHON]
// With a Python that has torch, transformers and peft, the same by PyTorch beside it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { adapterFolder, chat, NAMES, startServer } from './server.mjs';

const python = process.argv[2];
const here = fileURLToPath(new URL('.', import.meta.url));
const TOKENS = 64;
const QUESTION = '¿Qué es una pila y para qué sirve?';
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function clients(url, count, tokens) {
  const started = performance.now();
  const firsts = [];
  const counts = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      chat(
        url,
        {
          model: NAMES[i % 3],
          messages: [{ role: 'user', content: QUESTION }],
          max_tokens: tokens,
          temperature: 1.5, // long answers: nobody stops early together
          seed: i,
        },
        () => firsts.push(performance.now() - started),
      ),
    ),
  );
  const seconds = (performance.now() - started) / 1000;
  const total = counts.reduce((sum, each) => sum + each, 0);
  return { clients: count, first_token_ms: median(firsts), tokens_per_second: total / seconds };
}

const server = await startServer('--quiet');
const rows = [];
for (const count of [1, 4, 16]) {
  await clients(server.url, count, 8); // warms caches and workspaces
  const runs = [];
  for (let i = 0; i < 3; i++) runs.push(await clients(server.url, count, TOKENS));
  rows.push({
    clients: count,
    first_token_ms: median(runs.map((run) => run.first_token_ms)),
    tokens_per_second: median(runs.map((run) => run.tokens_per_second)),
  });
}
await server.stop();

const { adapterTimes } = await import('./adapters.mjs');
const result = { qlora: { rows, ...(await adapterTimes(NAMES.map(adapterFolder))) } };
if (python) {
  const { stdout, status } = spawnSync(
    python,
    [
      join(here, 'torch_answers.py'),
      join(here, '../../packages/phi-nano/model'),
      ...NAMES.map(adapterFolder),
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  result.torch = status === 0 ? JSON.parse(stdout) : 'failed';
}
console.log(JSON.stringify(result, null, 1));
