import { type ChildProcess, spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { QLoraError } from '@qlorajs/errors';
import type { CodeLanguage, Outcome } from './protocol.js';

/** Limits of a sandbox. */
export interface SandboxOptions {
  /** A block that takes longer is stopped. Default 10. */
  readonly seconds?: number;
  /** The child's script; default: the one beside the bundle. */
  readonly script?: URL;
}

const MEGABYTES = 512;
const START_SECONDS = 120;

/** `--permission`, or what Node 20 calls it. */
function permissionFlag(): string {
  const { allowedNodeEnvironmentFlags } = process;
  return allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
}

function childArguments(language: CodeLanguage, script: URL): string[] {
  const file = realpathSync(fileURLToPath(script));
  const pyodide = realpathSync(dirname(createRequire(import.meta.url).resolve('pyodide')));
  const readable = [`${dirname(file)}/*`, join(dirname(dirname(file)), 'package.json')];
  if (language === 'python') readable.push(`${pyodide}/*`);
  return [
    permissionFlag(),
    ...readable.map((path) => `--allow-fs-read=${path}`),
    '--no-warnings',
    `--max-old-space-size=${MEGABYTES}`,
    ...[file, language, pathToFileURL(join(pyodide, 'pyodide.mjs')).href],
  ];
}

interface Waiting {
  resolve(line: string): void;
  reject(error: Error): void;
}

/**
 * Runs code that a model wrote, in a process of its own: JavaScript in an empty context, Python in
 * Pyodide (CPython in WebAssembly, with no way to the host's files or sockets), both under Node's
 * permission model with no environment, no files to write, no other processes, and a time limit.
 * This holds back careless code and most malicious code; it is no fence against an exploit of Node
 * itself, and Node 20's permissions say nothing of the network for JavaScript that leaves its
 * context.
 */
export class Sandbox {
  readonly #language: CodeLanguage;
  readonly #seconds: number;
  readonly #script: URL;
  #child: ChildProcess | null = null;
  #waiting: Waiting | null = null;

  constructor(language: CodeLanguage, options: SandboxOptions = {}) {
    this.#language = language;
    this.#seconds = options.seconds ?? 10;
    this.#script = options.script ?? new URL('./sandbox-child.js', import.meta.url);
  }

  /** Runs one block; after one that was stopped, the next gets a new process. */
  async run(code: string): Promise<Outcome> {
    if (this.#child === null) await this.#start();
    const line = this.#line(this.#seconds);
    this.#child!.stdin!.write(`${JSON.stringify({ code })}\n`);
    try {
      return JSON.parse(await line) as Outcome;
    } catch (error) {
      this.dispose();
      return { printed: [], error: (error as Error).message };
    }
  }

  async #start(): Promise<void> {
    const errors: string[] = [];
    const child = spawn(process.execPath, childArguments(this.#language, this.#script), {
      env: {},
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stdin.on('error', () => {}); // the end of the child is told below
    child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
    createInterface({ input: child.stdout }).on('line', (line) => this.#waiting?.resolve(line));
    child.on('close', () => {
      if (this.#child !== child) return; // one that was let go of already
      this.#child = null;
      this.#waiting?.reject(new Error(`the process ended: ${errors.join('').trim().slice(-300)}`));
    });
    try {
      await this.#line(START_SECONDS);
    } catch (cause) {
      this.dispose();
      throw new QLoraError(
        'SANDBOX_START',
        `the sandbox for ${this.#language} did not start: ${(cause as Error).message}`,
        { kind: 'runtime', cause },
      );
    }
  }

  /** The child's next line. */
  #line(seconds: number): Promise<string> {
    return new Promise<string>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`stopped after ${seconds} s`)),
        seconds * 1e3,
      );
      const settle = () => {
        clearTimeout(timer);
        this.#waiting = null;
      };
      this.#waiting = {
        resolve: (line) => {
          settle();
          resolve(line);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
    });
  }

  /** Ends the process. */
  dispose(): void {
    const child = this.#child;
    this.#child = null;
    this.#waiting = null;
    child?.kill('SIGKILL');
  }
}
