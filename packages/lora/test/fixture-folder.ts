import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type FolderSource, memoryFolder } from '@qlorajs/safetensors';

function path(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

export function fixtureBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(path(name)));
}

export function fixtureText(name: string): string {
  return readFileSync(path(name), 'utf8');
}

export function fixtureFolder(name: string): FolderSource {
  const files = readdirSync(path(name)).map(
    (file) => [file, fixtureBytes(`${name}/${file}`)] as const,
  );
  return memoryFolder(files, name);
}

/** A folder of the given texts and bytes. */
export function folderOf(files: Readonly<Record<string, string | Uint8Array>>): FolderSource {
  const encoder = new TextEncoder();
  return memoryFolder(
    Object.entries(files).map(([file, content]) => [
      file,
      typeof content === 'string' ? encoder.encode(content) : content,
    ]),
    'folder',
  );
}
