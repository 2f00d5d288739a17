import { QLoraError } from '@qlorajs/errors';
import { type ByteSource, blobSource, type FolderSource } from '@qlorajs/safetensors';

/** Files of this site or of the hub, each fetched whole when it is first opened. */
export function urlFolder(
  url: string,
  files: readonly string[],
  onProgress: (share: number) => void = () => {},
): FolderSource {
  const fetched = new Map<string, Promise<Blob>>();
  const fetchFile = async (file: string): Promise<Blob> => {
    const response = await fetch(new URL(file, url)).catch((cause: unknown) => {
      throw notFetched(file, url, 'the network does not answer', cause);
    });
    if (!response.ok) throw notFetched(file, url, `the server answers ${response.status}`);
    const total = Number(response.headers.get('Content-Length'));
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let received = 0;
    const reader = response.body!.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      received += value.length;
      if (total > 0) onProgress(received / total);
    }
    return new Blob(parts);
  };
  return {
    name: url,
    has: async (file) => files.includes(file),
    async open(file) {
      let blob = fetched.get(file);
      if (!blob) {
        blob = fetchFile(file);
        fetched.set(file, blob);
        blob.catch(() => fetched.delete(file));
      }
      return blobSource(await blob, `${url}${file}`);
    },
  };
}

function notFetched(file: string, url: string, why: string, cause?: unknown): QLoraError {
  return new QLoraError(
    'FETCH_FAILED',
    `${file} did not come from ${url}: ${why}; check the connection and try again`,
    { kind: 'runtime', details: { file, url }, cause },
  );
}

/** A folder of the browser's private file system. */
export function opfsFolder(folder: FileSystemDirectoryHandle, name: string): FolderSource {
  return {
    name,
    async has(file) {
      try {
        await folder.getFileHandle(file);
        return true;
      } catch {
        return false;
      }
    },
    async open(file): Promise<ByteSource> {
      const handle = await folder.getFileHandle(file);
      return blobSource(await handle.getFile(), `${name}/${file}`);
    },
  };
}
