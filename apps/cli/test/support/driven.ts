import type { ChildProcess } from 'node:child_process';
import { type Ended, type Running, start } from './qlora.js';

/** What was written since the last word. */
export interface Said {
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that is talked to, one line at a time. */
export class Driven {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #said = { stdout: '', stderr: '' };
  #waiting: (() => void) | null = null;

  constructor({ child, ended }: Running) {
    this.child = child;
    this.ended = ended;
    for (const name of ['stdout', 'stderr'] as const)
      child[name]!.on('data', (text: string) => {
        this.#said[name] += text;
        this.#waiting?.();
      });
    child.on('close', () => this.#waiting?.());
  }

  static start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Driven {
    return new Driven(start(args, { env, stdin: null }));
  }

  write(text: string): void {
    this.child.stdin!.write(text);
  }

  /** Waits until something stands there, and takes it and all before it. @throws when the command ends */
  async until(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<Said> {
    while (!pattern.test(this.#said[stream])) {
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`it ended before ${pattern}: ${JSON.stringify(this.#said)}`);
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    const said = this.#said;
    this.#said = { stdout: '', stderr: '' };
    return said;
  }

  /** Types lines and waits for what they bring. */
  tell(lines: string, stream: 'stdout' | 'stderr', pattern: RegExp): Promise<Said> {
    this.write(`${lines}\n`);
    return this.until(stream, pattern);
  }

  /** Closes its input and waits for its end. */
  async end(text = ''): Promise<Ended> {
    this.child.stdin!.end(text);
    return this.ended;
  }
}
