// Many clients for a while: node bench/answers/soak.mjs [SECONDS] [CLIENTS]
// Ends with 1 when a request failed, or when memory or handles grew after the first quarter.
import { readdirSync, readFileSync } from 'node:fs';
import { chat, NAMES, startServer } from './server.mjs';

const [seconds = 60, clients = 50] = process.argv.slice(2).map(Number);
const QUESTIONS = [
  '¿Qué es una pila?',
  '¿Cómo cuento los alumnos?',
  'Cuéntame un cuento sobre un tren.',
];

const server = await startServer('--quiet');
const resident = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]) / 1024;
const handles = () => readdirSync(`/proc/${server.pid}/fd`).length;
const gauge = async (name) =>
  Number(
    new RegExp(`^${name} (.+)$`, 'm').exec(await (await fetch(`${server.url}/metrics`)).text())[1],
  );

const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
const failures = [];
let [requests, tokens, left] = [0, 0, 0];

async function client(number) {
  for (let i = number; elapsed() < seconds; i++) {
    const body = {
      model: NAMES[i % 3],
      messages: [{ role: 'user', content: QUESTIONS[i % 3] }],
      max_tokens: 4 + ((7 * i) % 29),
      temperature: i % 2,
      seed: i,
    };
    try {
      if (i % 11 === 0) {
        // One that leaves before its answer is whole.
        const gone = AbortSignal.timeout(40);
        left++;
        await fetch(`${server.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
          signal: gone,
        }).then(
          (response) => response.text(),
          () => {},
        );
        continue;
      }
      const count = await chat(server.url, body);
      tokens += count;
      requests++;
    } catch (error) {
      failures.push(String(error.message ?? error));
    }
  }
}

const running = Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
const samples = [];
while (elapsed() < seconds) {
  await new Promise((resolve) => setTimeout(resolve, (1000 * seconds) / 12));
  const heap = Math.round((await gauge('nodejs_heap_size_used_bytes')) / 1e6);
  const device = await gauge('qlora_backend_bytes');
  samples.push({
    at: Math.round(elapsed()),
    ...{ rss_mb: Math.round(resident()), heap_mb: heap, backend_bytes: device },
    handles: handles(),
  });
}
await running;
await new Promise((resolve) => setTimeout(resolve, 1000));
const after = {
  rss_mb: Math.round(resident()),
  handles: handles(),
  running: await gauge('qlora_running'),
  waiting: await gauge('qlora_waiting'),
  cache_bytes: await gauge('qlora_cache_bytes'),
};
const code = await server.stop();
const quarter = samples[Math.floor(samples.length / 4)];
// Between collections the heap rises and falls, so what counts is where it comes back to.
const grew = after.rss_mb > 1.2 * quarter.rss_mb + 20 || after.handles > quarter.handles;
console.log(
  JSON.stringify(
    {
      seconds,
      clients,
      requests,
      left,
      tokens,
      failures: failures.slice(0, 5),
      samples,
      after,
      code,
    },
    null,
    1,
  ),
);
const idle = after.running + after.waiting + after.cache_bytes === 0;
process.exitCode = failures.length > 0 || grew || !idle || code !== 0 ? 1 : 0;
