// Stands in for node:fs: the fixtures are part of the bundle.
import { fixtureFiles } from './fixture-files.js';

export const existsSync = (path: string) => fixtureFiles.has(path);

export function readFileSync(path: string, encoding?: 'utf8'): Uint8Array | string {
  const bytes = fixtureFiles.get(path);
  if (!bytes) throw new Error(`${path} is not in the bundle`);
  return encoding ? new TextDecoder().decode(bytes) : bytes;
}

export function appendFileSync(path: string): void {
  throw new Error(`a page does not write ${path}`);
}
