import type { NamedFile } from '../protocol.js';

/** Files that were dropped or chosen, by their plain names, and the folder they came in. */
export interface Picked {
  readonly folder: string | null;
  readonly files: readonly NamedFile[];
}

function filesOf(entry: FileSystemDirectoryEntry): Promise<NamedFile[]> {
  const reader = entry.createReader();
  return new Promise((resolve, reject) => {
    const all: Promise<NamedFile>[] = [];
    // A reader gives at most a hundred entries at a time.
    const more = () =>
      reader.readEntries((entries) => {
        if (entries.length === 0) {
          resolve(Promise.all(all));
          return;
        }
        for (const each of entries)
          if (each.isFile)
            all.push(
              new Promise((done, fail) =>
                (each as FileSystemFileEntry).file((file) => done([file.name, file]), fail),
              ),
            );
        more();
      }, reject);
    more();
  });
}

/** What a drop brought: files, or the files of one folder. */
export async function dropped(transfer: DataTransfer): Promise<Picked> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = [...transfer.files];
  const folder = entries.find((entry) => entry?.isDirectory) as
    | FileSystemDirectoryEntry
    | undefined;
  if (folder) return { folder: folder.name, files: await filesOf(folder) };
  return { folder: null, files: files.map((file) => [file.name, file]) };
}

/** What an `<input type=file>` was given, a folder's with `webkitdirectory`. */
export function chosen(input: HTMLInputElement): Picked {
  const files = [...(input.files ?? [])];
  const folder = files[0]?.webkitRelativePath.split('/')[0] || null;
  const depth = folder === null ? 1 : 2;
  const plain = files.filter(
    ({ webkitRelativePath: path }) => path === '' || path.split('/').length === depth,
  );
  input.value = '';
  return { folder, files: plain.map((file) => [file.name, file]) };
}

/** Hands a file to the reader. */
export function saveFile(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
