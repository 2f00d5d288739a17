import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteSource, FolderSource } from '@qlorajs/safetensors';
import { withFile } from './file-error.js';
import { kindOf } from './read.js';

/** One read of the system is at most 2 GiB. */
const LARGEST_READ = 2 ** 30;

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = Math.min(length - done, LARGEST_READ);
    const { bytesRead } = await handle.read(bytes, done, count, offset + done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}

/** Random access to a file on disk; close it after use. */
export async function fileSource(path: string): Promise<ByteSource> {
  const handle = await withFile('open', path, () => open(path));
  const { size } = await withFile('open', path, () => handle.stat());
  return {
    name: path,
    size,
    read: (offset, length) => withFile('read', path, () => readAt(handle, offset, length)),
    close: () => handle.close(),
  };
}

/** A folder on disk. */
export function folderSource(path: string): FolderSource {
  return {
    name: path,
    has: async (file) => (await kindOf(join(path, file))) === 'file',
    open: (file) => fileSource(join(path, file)),
  };
}
