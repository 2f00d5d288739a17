// The sandboxed process: takes `{ code }` a line on stdin and answers with an Outcome a line on
// stdout. `node --permission` keeps it from the file system (but for reading Python itself), from
// other processes and from threads; see sandbox.ts.
import { createInterface } from 'node:readline';
import { format } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import type { Outcome } from './protocol.js';

const MOST_LINES = 1000;
const [language, pythonUrl] = process.argv.slice(2);

function message(error: unknown): string {
  return String(error instanceof Error ? error.message : error)
    .trim()
    .split('\n')
    .at(-1)!;
}

function runJavaScript(code: string): Outcome {
  const printed: string[] = [];
  const log = (...values: unknown[]) => {
    if (printed.length < MOST_LINES) printed.push(...format(...values).split('\n'));
  };
  const console = { log, info: log, warn: log, error: log };
  try {
    runInContext(`(() => { 'use strict';\n${code}\n})();`, createContext({ console }));
    return { printed, error: null };
  } catch (error) {
    const thrown = error as { name?: string; message?: string };
    return { printed, error: `${thrown?.name ?? 'Error'}: ${thrown?.message ?? String(error)}` };
  }
}

async function pythonRunner(url: string): Promise<(code: string) => Outcome> {
  // Pyodide asks for these constants at start, and --permission refuses the call; nothing mounts
  // the host's file system, so that it does without.
  Object.assign(process, { binding: () => ({ fs: {} }) });
  const { loadPyodide } = (await import(url)) as typeof import('pyodide');
  const python = await loadPyodide({ jsglobals: {} });
  return (code) => {
    const printed: string[] = [];
    const batched = (line: string) => {
      if (printed.length < MOST_LINES) printed.push(line);
    };
    python.setStdout({ batched });
    python.setStderr({ batched: () => {} });
    const globals = python.toPy({ __name__: '__main__' });
    try {
      python.runPython(code, { globals });
      return { printed, error: null };
    } catch (error) {
      return { printed, error: message(error) };
    } finally {
      globals.destroy();
    }
  };
}

const run = language === 'python' ? await pythonRunner(pythonUrl) : runJavaScript;
const write = process.stdout.write.bind(process.stdout);
write('"ready"\n');
for await (const line of createInterface({ input: process.stdin }))
  write(`${JSON.stringify(run(JSON.parse(line).code))}\n`);
