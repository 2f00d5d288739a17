import { QLoraError } from '@qlorajs/errors';
import { type FolderContent, formatBytes } from '@qlorajs/session';

/** The browser's private file system (OPFS), where runs and bases are kept. */
async function storageRoot(): Promise<FileSystemDirectoryHandle> {
  try {
    return await navigator.storage.getDirectory();
  } catch (cause) {
    throw new QLoraError(
      'STORAGE_ABSENT',
      'this browser keeps no files for this page (a private window, or site data is blocked); allow site data to train and to keep models',
      { kind: 'runtime', cause },
    );
  }
}

/** A folder below the root, made where it is missing. */
export async function storageFolder(...path: string[]): Promise<FileSystemDirectoryHandle> {
  let folder = await storageRoot();
  for (const name of path) folder = await folder.getDirectoryHandle(name, { create: true });
  return folder;
}

/** Names of the folders in a folder. */
export async function foldersIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const [name, handle] of folder.entries())
    if (handle.kind === 'directory') names.push(name);
  return names.sort();
}

/** Bytes that the browser still gives this page. */
async function freeStorage(): Promise<number> {
  const { usage = 0, quota = Number.POSITIVE_INFINITY } = await navigator.storage.estimate();
  return Math.max(0, quota - usage);
}

/** @throws QLoraError `STORAGE_ROOM` where the browser has no room for so many more bytes */
export async function expectStorage(needed: number, name: string): Promise<void> {
  const free = await freeStorage();
  if (needed <= free) return;
  throw new QLoraError(
    'STORAGE_ROOM',
    `${name} needs ${formatBytes(needed)} of the browser's storage, which has ${formatBytes(free)} free; delete old runs or kept models, or free space on the disk`,
    { kind: 'runtime', details: { needed, free, name } },
  );
}

/** What a browser's refusal to write means. */
export function storageError(cause: unknown, file: string): unknown {
  if ((cause as Error).name !== 'QuotaExceededError') return cause;
  return new QLoraError(
    'STORAGE_FULL',
    `there is no room for ${file} in the browser's storage; delete old runs or kept models on the Device page, or free space on the disk`,
    { kind: 'runtime', details: { file }, cause },
  );
}

/** Writes a file; it is there whole, or as it was. */
export async function writeStored(
  folder: FileSystemDirectoryHandle,
  file: string,
  content: string | Uint8Array | Blob,
): Promise<void> {
  try {
    const handle = await folder.getFileHandle(file, { create: true });
    const writable = await handle.createWritable();
    await writable.write(content as FileSystemWriteChunkType);
    await writable.close();
  } catch (cause) {
    throw storageError(cause, file);
  }
}

/** Writes files, `last` after all others: where it is, the folder is whole. */
export async function writeFolder(
  folder: FileSystemDirectoryHandle,
  files: FolderContent,
  last: string,
): Promise<void> {
  for (const [name, content] of Object.entries(files))
    if (name !== last) await writeStored(folder, name, content);
  await writeStored(folder, last, files[last]);
}

/** A file's text; null where there is none. */
export async function readStored(
  folder: FileSystemDirectoryHandle,
  file: string,
): Promise<string | null> {
  try {
    return await (await (await folder.getFileHandle(file)).getFile()).text();
  } catch {
    return null;
  }
}
