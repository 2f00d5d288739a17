// Stands in for node:fs: the fixtures are part of the bundle.
import { fixtures } from 'virtual:fixtures';

export const existsSync = (path: string) => fixtures.has(path);

export function readFileSync(path: string, encoding?: 'utf8'): Uint8Array | string {
  const bytes = fixtures.get(path);
  if (!bytes) throw new Error(`${path} is not in the bundle`);
  return encoding ? new TextDecoder().decode(bytes) : bytes;
}

export function appendFileSync(path: string): void {
  throw new Error(`a page does not write ${path}`);
}
