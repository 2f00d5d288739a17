import { createInterface } from 'node:readline';
import { paint } from '../report/ui.js';
import { Multiline } from './multiline.js';

/**
 * Texts from stdin, with a prompt on a terminal. Ctrl-C stops the answer under way; at the prompt it
 * drops what was typed, and twice in a row it leaves.
 */
export class Console {
  readonly interactive = process.stdin.isTTY === true;
  readonly #lines = createInterface({
    input: process.stdin,
    output: this.interactive ? process.stderr : undefined,
  });
  readonly #multiline = new Multiline();
  readonly #notice: (text: string) => void;
  #answering: AbortController | null = null;
  #pressed = false;
  #left = false;

  constructor(notice: (text: string) => void) {
    this.#notice = notice;
    const interrupt = () => this.#interrupt();
    this.#lines.on('SIGINT', interrupt);
    process.on('SIGINT', interrupt);
  }

  /** The user left with Ctrl-C. */
  get interrupted(): boolean {
    return this.#left;
  }

  #interrupt(): void {
    if (this.#answering) {
      this.#answering.abort();
      return;
    }
    if (this.#pressed || !this.interactive) {
      this.#left = true;
      this.#lines.close();
      return;
    }
    this.#pressed = true;
    this.#multiline.take();
    this.#notice('\nCtrl-C once more leaves');
    this.#lines.write(null, { ctrl: true, name: 'u' });
    this.#ask();
  }

  async *texts(): AsyncGenerator<string> {
    this.#ask();
    for await (const line of this.#lines) {
      this.#pressed = false;
      const text = this.#multiline.push(line);
      if (text !== null && text !== '') yield text;
      if (this.#left) return;
      this.#ask();
    }
    const rest = this.#multiline.take();
    if (rest !== '' && !this.#left) yield rest;
  }

  #ask(): void {
    if (!this.interactive) return;
    const prompt = this.#multiline.open ? '...> ' : 'you> ';
    this.#lines.setPrompt(paint('bold', prompt, process.stderr));
    this.#lines.prompt();
  }

  /** Ctrl-C aborts the work's signal meanwhile. */
  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#answering = new AbortController();
    try {
      return await work(this.#answering.signal);
    } finally {
      this.#answering = null;
    }
  }

  close(): void {
    this.#lines.close();
  }
}
