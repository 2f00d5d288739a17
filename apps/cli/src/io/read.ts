import { readFile, stat } from 'node:fs/promises';
import { parseJson, QLoraError } from '@qlorajs/errors';
import { withFile } from './file-error.js';

/** All bytes of a file. */
export function readBytes(path: string): Promise<Uint8Array> {
  return withFile('read', path, () => readFile(path));
}

/** A file as UTF-8 text. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

/** The value of a JSON file. */
export async function readJson(path: string): Promise<unknown> {
  const source = await readText(path);
  try {
    return parseJson(source);
  } catch (cause) {
    throw new QLoraError('JSON_SYNTAX', `${path} is not JSON: ${(cause as Error).message}`, {
      details: { file: path },
      cause,
    });
  }
}

/** What lies at a path. */
export async function kindOf(path: string): Promise<'file' | 'folder' | 'nothing'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch {
    return 'nothing';
  }
}
