import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { Nf4Writer } from '@qlorajs/session';

/** A writer of quantized weights with its file, which is closed after use. */
export interface Nf4File {
  readonly writer: Nf4Writer;
  /** Flushes to the disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** @param names of all weights that will come */
export async function createNf4File(path: string, names: readonly string[]): Promise<Nf4File> {
  const handle = await open(path, 'w');
  const write = async (bytes: Uint8Array, position: number) => {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, done, undefined, position + done);
      done += bytesWritten;
    }
  };
  return {
    writer: new Nf4Writer({ write }, names, crc32),
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}
