import { readdir, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isTemporary } from '../io/atomic.js';

/** Where quantized bases are kept: below XDG_CACHE_HOME, or the system's own place. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const system =
    process.platform === 'win32' && env.LOCALAPPDATA
      ? env.LOCALAPPDATA
      : join(env.HOME ?? homedir(), '.cache');
  return join(env.XDG_CACHE_HOME || system, 'qlorajs', 'nf4');
}

/** A file of the cache. */
export interface CachedFile {
  readonly file: string;
  readonly bytes: number;
  readonly lastWritten: Date;
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}

/** What the cache holds, unfinished files left out. */
export async function cachedFiles(folder = cacheFolder()): Promise<CachedFile[]> {
  const found: CachedFile[] = [];
  for (const name of await names(folder)) {
    if (isTemporary(name) || !name.endsWith('.safetensors')) continue;
    const file = join(folder, name);
    const { size, mtime } = await stat(file);
    found.push({ file, bytes: size, lastWritten: mtime });
  }
  return found;
}

/** Removes files of the cache, those among them that a killed process left unfinished. */
export async function removeCached(
  folder: string,
  which: (name: string) => boolean,
): Promise<void> {
  for (const name of await names(folder))
    if (which(name)) await rm(join(folder, name), { force: true });
}
