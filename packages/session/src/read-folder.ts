import { parseJson, QLoraError } from '@qlorajs/errors';
import type { FolderSource } from '@qlorajs/safetensors';

/** A file of a folder as UTF-8 text; undefined where there is none. */
export async function textIfThere(folder: FolderSource, file: string): Promise<string | undefined> {
  if (!(await folder.has(file))) return undefined;
  const source = await folder.open(file);
  try {
    return new TextDecoder().decode(await source.read(0, source.size));
  } finally {
    await source.close?.();
  }
}

/** The value of a JSON file of a folder; undefined where there is none. @throws QLoraError `JSON_SYNTAX` */
export async function jsonIfThere(folder: FolderSource, file: string): Promise<unknown> {
  const text = await textIfThere(folder, file);
  if (text === undefined) return undefined;
  try {
    return parseJson(text);
  } catch (cause) {
    const path = `${folder.name}/${file}`;
    throw new QLoraError('JSON_SYNTAX', `${path} is not JSON: ${(cause as Error).message}`, {
      details: { file: path },
      cause,
    });
  }
}
