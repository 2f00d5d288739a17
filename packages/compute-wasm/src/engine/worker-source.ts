import { ACTIVE, CALLER_SLEEPS, FAILED, KERNEL, SLEEPERS, TICKET } from './control.js';

/** Milliseconds that a thread watches for work before it sleeps: waking a sleeper takes longer. */
export const SPIN_MILLISECONDS = 0.04;

/**
 * What a worker runs, as text: Node evaluates it, a page loads it from a Blob, and no bundler has to
 * find a file. A worker joins the open operation (TICKET is odd), takes chunks until none is left,
 * and leaves. One that comes late joins the next: nobody waits for a worker that has not joined.
 */
export const WORKER_SOURCE = `
const threads = globalThis.process?.getBuiltinModule?.('node:worker_threads');
const port = threads ? threads.parentPort : globalThis;

function open(words, seen) {
  const ticket = Atomics.load(words, ${TICKET});
  return (ticket & 1) === 1 && ticket !== seen;
}

function awaitOpen(words, seen) {
  const until = performance.now() + ${SPIN_MILLISECONDS};
  do {
    for (let i = 0; i < 64; i++) if (open(words, seen)) return;
  } while (performance.now() < until);
  while (!open(words, seen)) {
    Atomics.add(words, ${SLEEPERS}, 1);
    const ticket = Atomics.load(words, ${TICKET});
    if ((ticket & 1) === 0 || ticket === seen) Atomics.wait(words, ${TICKET}, ticket);
    Atomics.sub(words, ${SLEEPERS}, 1);
  }
}

function start({ module, memory, kernels, thread, controlWords }) {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const run = kernels.map((name) => exports[name]);
  const words = new Int32Array(memory.buffer, 0, controlWords);
  port.postMessage('ready');
  for (let seen = 0; ; ) {
    awaitOpen(words, seen);
    Atomics.add(words, ${ACTIVE}, 1);
    const ticket = Atomics.load(words, ${TICKET});
    if ((ticket & 1) === 1) {
      seen = ticket;
      try {
        run[words[${KERNEL}]](thread);
      } catch {
        Atomics.store(words, ${FAILED}, 1);
      }
    }
    Atomics.sub(words, ${ACTIVE}, 1);
    if (Atomics.load(words, ${CALLER_SLEEPS}) === 1) Atomics.notify(words, ${ACTIVE});
  }
}

if (threads) port.once('message', start);
else port.onmessage = (event) => start(event.data);
`;
