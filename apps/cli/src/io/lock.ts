import { readFileSync, rmSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import { withFile } from './file-error.js';

/** Name of the lock in an output folder. */
export const LOCK_FILE = '.qlora.lock';

/** Who holds a lock. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, in the system's ticks; null where the system does not say. */
  readonly began: string | null;
}

/** Locks of this process, given back when it ends. */
const held = new Set<string>();
process.on('exit', () => {
  for (const path of held) rmSync(path, { force: true });
});

/** Tells a process from a later one that got the same number (Linux). */
function beginOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isAlive({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return true; // on another machine: not to be known from here
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const now = beginOf(pid);
  return began === null || now === null || began === now;
}

async function readHolder(path: string): Promise<Holder | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder;
  } catch {
    return null; // gone meanwhile, or cut short by a crash
  }
}

/** Makes the lock file; false when there is one already. */
async function make(path: string, holder: Holder): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(holder), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Takes a folder for this process alone, until `release` or the end of the process. A lock whose
 * process is no more is taken over.
 * @throws QLoraError `OUTPUT_LOCKED` when another process has it
 */
export async function lockFolder(folder: string): Promise<() => void> {
  const path = resolve(join(folder, LOCK_FILE));
  const own = { pid: process.pid, host: hostname(), began: beginOf(process.pid) };
  for (;;) {
    if (await withFile('write into', folder, () => make(path, own))) break;
    const holder = await readHolder(path);
    if (held.has(path) || (holder !== null && isAlive(holder)))
      throw new QLoraError(
        'OUTPUT_LOCKED',
        `${folder}: another run (process ${holder?.pid} on ${holder?.host}) is writing into it; wait for its end or give another --out. If there is no such run, delete ${path}`,
        { details: { folder, lock: path, ...holder } },
      );
    // Of several processes that find a dead lock, one moves it away.
    const aside = `${path}.dead-${process.pid}`;
    await rename(path, aside).catch(() => {});
    await rm(aside, { force: true });
  }
  held.add(path);
  return () => {
    if (held.delete(path)) rmSync(path, { force: true });
  };
}
