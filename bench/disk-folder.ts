import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { FolderSource } from '@qlorajs/safetensors';

/** A Hugging Face folder on disk, read a range at a time. */
export function diskFolder(path: string): FolderSource {
  return {
    name: path,
    has: async (file) => existsSync(join(path, file)),
    async open(file) {
      const handle = await open(join(path, file));
      const { size } = await handle.stat();
      return {
        name: file,
        size,
        async read(offset, length) {
          const bytes = new Uint8Array(length);
          let done = 0;
          while (done < length) {
            const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
            if (bytesRead === 0) throw new Error(`${file} ends early`);
            done += bytesRead;
          }
          return bytes;
        },
        close: () => handle.close(),
      };
    },
  };
}
