import { QLoraError } from '@qlorajs/errors';
import {
  ACTIVE,
  CALLER_SLEEPS,
  CONTROL_WORDS,
  FAILED,
  KERNELS,
  SLEEPERS,
  TICKET,
} from './control.js';
import { type HostWorker, startWorker, type WasmMemory, type WasmModule } from './host.js';
import { SPIN_MILLISECONDS, WORKER_SOURCE } from './worker-source.js';

/** The workers that share operations with the caller. */
export class Pool {
  readonly #workers: HostWorker[] = [];
  readonly #words: Int32Array;
  readonly #callerMaySleep: boolean;

  private constructor(memory: WasmMemory) {
    this.#words = new Int32Array(memory.buffer, 0, CONTROL_WORDS);
    this.#callerMaySleep = maySleep(this.#words);
  }

  /** Starts `count` workers and waits until each runs. */
  static async start(count: number, module: WasmModule, memory: WasmMemory): Promise<Pool> {
    const pool = new Pool(memory);
    const ready: Promise<void>[] = [];
    for (let thread = 1; thread <= count; thread++) {
      const worker = startWorker(WORKER_SOURCE);
      pool.#workers.push(worker);
      ready.push(firstMessage(worker));
      worker.postMessage({ module, memory, kernels: KERNELS, thread, controlWords: CONTROL_WORDS });
    }
    try {
      await Promise.all(ready);
    } catch (cause) {
      await pool.stop();
      throw new QLoraError(
        'COMPUTE_WORKERS',
        'the worker threads of the CPU engine did not start; pass { threads: 1 } to do without them',
        { kind: 'runtime', details: { workers: count }, cause },
      );
    }
    // A backend that is forgotten must not keep the process alive.
    for (const worker of pool.#workers) worker.unref?.();
    return pool;
  }

  /** Runs `kernel` here while the workers run it too, and returns when all who joined are through. */
  share(kernel: () => void): void {
    const words = this.#words;
    Atomics.add(words, TICKET, 1);
    if (Atomics.load(words, SLEEPERS) > 0) Atomics.notify(words, TICKET);
    try {
      kernel();
    } finally {
      Atomics.add(words, TICKET, 1);
      this.#awaitWorkers();
    }
    if (Atomics.exchange(words, FAILED, 0) !== 0) throw new Error('a worker thread trapped');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
    this.#workers.length = 0;
  }

  #awaitWorkers(): void {
    const words = this.#words;
    const until = performance.now() + SPIN_MILLISECONDS;
    do {
      for (let i = 0; i < 64; i++) if (Atomics.load(words, ACTIVE) === 0) return;
    } while (!this.#callerMaySleep || performance.now() < until);
    Atomics.store(words, CALLER_SLEEPS, 1);
    for (;;) {
      const active = Atomics.load(words, ACTIVE);
      if (active === 0) break;
      Atomics.wait(words, ACTIVE, active);
    }
    Atomics.store(words, CALLER_SLEEPS, 0);
  }
}

/** The main thread of a page must not sleep. */
function maySleep(words: Int32Array): boolean {
  try {
    Atomics.wait(words, TICKET, Atomics.load(words, TICKET), 0);
    return true;
  } catch {
    return false;
  }
}

function firstMessage(worker: HostWorker): Promise<void> {
  return new Promise((resolve, reject) => {
    const listen = (worker.on ?? worker.addEventListener)?.bind(worker);
    listen?.('message', () => resolve());
    listen?.('error', reject);
  });
}
