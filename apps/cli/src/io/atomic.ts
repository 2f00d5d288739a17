import { rmSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { withFile } from './file-error.js';

/** What is being written now; removed if the process ends before it is in place. */
const unfinished = new Set<string>();
process.on('exit', () => {
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
});

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Ctrl-C while something is unfinished: leave by way of the clean-up above, unless a verb listens too. */
function exitUnlessHandled(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) === 1) process.exit(130);
}

/** True for a name that only unfinished work has: left over when a process was killed. */
export function isTemporary(name: string): boolean {
  return /^\..+\.tmp-\d+$/.test(name);
}

/** Works on a temporary path beside `path`; whatever fails leaves nothing there. */
async function beside<T>(path: string, work: (temporary: string) => Promise<T>): Promise<T> {
  const temporary = join(dirname(path), `.${basename(path)}.tmp-${process.pid}`);
  unfinished.add(temporary);
  for (const signal of SIGNALS) process.on(signal, exitUnlessHandled);
  try {
    return await work(temporary);
  } finally {
    for (const signal of SIGNALS) process.off(signal, exitUnlessHandled);
    await rm(temporary, { recursive: true, force: true });
    unfinished.delete(temporary);
  }
}

/** Makes renames in a folder outlast a power cut, where the system lets folders be synced. */
async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path);
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows: a folder cannot be opened.
  }
}

/** As {@link writeWhole}, for a file that `write` makes itself. */
export async function besideThenRename(
  path: string,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  await beside(path, async (temporary) => {
    await write(temporary);
    await rename(temporary, path);
  });
}

/** Writes a file beside its place and renames it into it: the file is there whole, or not at all. */
export async function writeWhole(
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
): Promise<void> {
  await withFile('write', path, () =>
    beside(path, async (temporary) => {
      await writeFile(temporary, content, { flush: true });
      await rename(temporary, path);
      await syncFolder(dirname(path));
    }),
  );
}

/** Files of a folder: name and content. */
export type FolderContent = Readonly<Record<string, string | Uint8Array>>;

/** Writes a new folder beside its place and renames it into it. */
export async function writeFolderWhole(
  path: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  await withFile('write', path, () =>
    beside(path, async (temporary) => {
      await mkdir(temporary, { recursive: true });
      await fill(temporary);
      await syncFolder(temporary);
      await rename(temporary, path);
      await syncFolder(dirname(path));
    }),
  );
}

/** Writes files into a folder that nobody reads yet. */
export async function fillFolder(folder: string, files: FolderContent): Promise<void> {
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, name), content, { flush: true });
}

/**
 * Puts files into a folder that may hold others: all are written into a temporary folder inside it
 * (so that a mount point will do), then renamed one by one, `last` at the end. A reader that looks
 * for `last` never sees an incomplete folder.
 */
export async function placeFiles(
  folder: string,
  last: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  await withFile('write', folder, () =>
    beside(join(folder, 'files'), async (temporary) => {
      await mkdir(temporary, { recursive: true });
      await fill(temporary);
      const names = await readdir(temporary);
      for (const name of [...names.filter((each) => each !== last), last])
        await rename(join(temporary, name), join(folder, name));
    }),
  );
}
