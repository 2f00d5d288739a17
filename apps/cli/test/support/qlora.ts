import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const command = fileURLToPath(new URL('../../bin/qlora.js', import.meta.url));
const built = fileURLToPath(new URL('../../dist/qlora.js', import.meta.url));
if (!existsSync(built)) throw new Error(`${built} is missing: run "npx turbo run build" first`);

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running `qlora`. */
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts the built command. */
export function start(
  args: readonly string[],
  options: {
    cwd?: string;
    /** null: it stays open. */
    stdin?: string | Buffer | null;
    env?: Readonly<Record<string, string>>;
  } = {},
): Running {
  // No test asks the real Hub for anything.
  const env = { ...process.env, HF_HUB_OFFLINE: '1', ...options.env };
  const child = spawn(process.execPath, [command, ...args], { cwd: options.cwd, env });
  const [out, err]: string[][] = [[], []];
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
  if (options.stdin !== null) child.stdin.end(options.stdin ?? '');
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code, signal, stdout: out.join(''), stderr: err.join('') }),
    );
  });
  return { child, ended };
}

/** Runs the built command to its end. */
export function qlora(...args: readonly string[]): Promise<Ended> {
  return start(args).ended;
}

/** A folder that is gone after the tests of this file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'qlora-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
