import { type ByteSource, blobSource, bytesSource } from './byte-source.js';
import { safetensorsError } from './errors.js';

/** A folder of files, opened by their plain names. */
export interface FolderSource {
  /** For messages: a path or a URL. */
  readonly name: string;
  has(file: string): Promise<boolean>;
  /** @throws QLoraError when the file is missing */
  open(file: string): Promise<ByteSource>;
}

/**
 * A folder held in memory or picked in a browser: names with their bytes, `Blob` or `File`.
 *
 * @param files a `Map`, or `Object.entries` of a record
 * @param name for messages, `memory` unless given
 */
export function memoryFolder(
  files: Iterable<readonly [name: string, content: Uint8Array | Blob]>,
  name = 'memory',
): FolderSource {
  const contents = new Map(files);
  return {
    name,
    async has(file) {
      return contents.has(file);
    },
    async open(file) {
      const content = contents.get(file);
      if (content === undefined) {
        throw safetensorsError(
          'SAFETENSORS_FILE_MISSING',
          { file: `${name}/${file}` },
          'there is no such file',
          'check the name or add the file',
        );
      }
      const path = `${name}/${file}`;
      return content instanceof Blob ? blobSource(content, path) : bytesSource(content, path);
    },
  };
}
