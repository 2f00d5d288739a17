import { spawn } from 'node:child_process';
import os from 'node:os';
import { createInterface } from 'node:readline';

/**
 * Milliseconds that all cores were busy so far, whoever kept them so. Work at a low priority counts:
 * where sessions are scheduled as groups, `nice` does not make it give way.
 */
function busyMilliseconds() {
  return os
    .cpus()
    .reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

/** Waits, `seconds` at most, until others leave the cores alone. */
export async function untilQuiet(seconds) {
  const until = performance.now() + 1000 * seconds;
  for (let share = 1; share > 0.1 && performance.now() < until; ) {
    const [busy, started] = [busyMilliseconds(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 300));
    share = (busyMilliseconds() - busy) / (os.cpus().length * (performance.now() - started));
  }
}

/**
 * A benchmark engine in its own process. It answers a line of JSON with a line of JSON and waits in
 * between without using a core, so that several can be loaded and be asked in turn.
 */
export class EngineProcess {
  #child;
  #waiting = null;
  #ended = null;
  #errors = '';

  /** @param {{ command: string, args: string[], env: Record<string, string> }} how */
  constructor({ command, args, env }) {
    this.#child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stderr.on('data', (text) => {
      this.#errors = (this.#errors + text).slice(-4000);
    });
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#settle(line));
    this.#child.on('error', (error) => this.#fail(error.message));
    this.#child.on('exit', (code, signal) => this.#fail(`ended with ${code ?? signal}`));
    this.#child.stdin.on('error', () => {});
  }

  #settle(line) {
    const { resolve, reject } = this.#waiting ?? {};
    this.#waiting = null;
    const reply = JSON.parse(line);
    if (reply.error) reject?.(new Error(reply.error));
    else resolve?.(reply.value);
  }

  #fail(why) {
    this.#ended ??= `${why}\n${this.#errors}`;
    this.#waiting?.reject(new Error(this.#ended));
    this.#waiting = null;
  }

  /** Sends a request and waits for its answer; past `seconds` the process is ended. */
  async ask(request, seconds) {
    if (this.#ended) throw new Error(this.#ended);
    let timer;
    const answer = new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      timer = setTimeout(() => {
        this.#fail(`no answer within ${seconds} s`);
        this.#child.kill('SIGKILL');
      }, seconds * 1000);
    });
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    return answer.finally(() => clearTimeout(timer));
  }

  /**
   * Asks for one sample. `others` is the share of the cores that somebody else used meanwhile:
   * above a few hundredths a time says more about the neighbours than about the engine.
   */
  async sample(request, seconds) {
    const [busy, started] = [busyMilliseconds(), performance.now()];
    const value = await this.ask(request, seconds);
    const wall = performance.now() - started;
    const foreign = busyMilliseconds() - busy - value.cpuMs;
    return { ...value, others: Math.max(0, foreign) / (wall * os.cpus().length) };
  }

  async stop() {
    if (this.#ended) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(timer);
  }
}
