import { createHash } from 'node:crypto';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { withFile } from './file-error.js';

/** Files up to this size are hashed whole. */
const WHOLE = 64 * 2 ** 20;
/** Of a larger one: so many pieces, evenly spread, the first and the last among them. */
const PIECES = 1024;
const PIECE = 4096;

async function hashPieces(handle: FileHandle, size: number): Promise<string> {
  const hash = createHash('sha256').update(`${size}\n`);
  const piece = new Uint8Array(PIECE);
  for (let i = 0; i < PIECES; i++) {
    const at = Math.floor((i * (size - PIECE)) / (PIECES - 1));
    await handle.read(piece, 0, PIECE, at);
    hash.update(piece);
  }
  return `sampled-sha256:${hash.digest('hex')}`;
}

/** SHA-256 of a file; of one above 64 MiB, of its size and of 4 MiB spread over it. */
async function fingerprint(path: string): Promise<string> {
  return withFile('read', path, async () => {
    const handle = await open(path);
    try {
      const { size } = await handle.stat();
      if (size > WHOLE) return await hashPieces(handle, size);
      return `sha256:${createHash('sha256')
        .update(await handle.readFile())
        .digest('hex')}`;
    } finally {
      await handle.close();
    }
  });
}

/**
 * Fingerprints of what makes a base what it is: config, weights and tokenizer files, by name. Two
 * checkpoints of one shape differ in nearly every element, so that samples of large files tell them
 * apart in a fraction of a second.
 */
export async function baseFingerprints(folder: string): Promise<Record<string, string>> {
  const names = (await withFile('read', folder, () => readdir(folder))).filter(
    (name) => /\.(safetensors|json|txt|jinja)$/.test(name) && name !== 'generation_config.json',
  );
  const prints: Record<string, string> = {};
  for (const name of names.sort()) prints[name] = await fingerprint(join(folder, name));
  return prints;
}
