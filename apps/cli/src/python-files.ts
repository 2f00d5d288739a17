import { fileURLToPath } from 'node:url';
import { readText } from './io/read.js';

/** Path of one of the published Python files: `run/train.py`. */
export function pythonFile(name: string): string {
  return fileURLToPath(new URL(`../python/${name}`, import.meta.url));
}

/** Text of one of the published Python files. */
export function readPythonFile(name: string): Promise<string> {
  return readText(pythonFile(name));
}
