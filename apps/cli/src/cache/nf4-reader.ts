import { crc32 } from 'node:zlib';
import { QLoraError } from '@qlorajs/errors';
import { openSafetensors, type TensorSource } from '@qlorajs/safetensors';
import { fileSource } from '../io/file-source.js';

/**
 * A base with its linear layers taken from the cache, each entry compared with its checksum; closing
 * it leaves the base open.
 * @throws QLoraError `CACHE_DAMAGED` here or while reading, or whatever the safetensors reader finds
 */
export async function withCachedLinears(
  base: TensorSource,
  linears: readonly string[],
  path: string,
): Promise<TensorSource> {
  const damaged = (what: string) =>
    new QLoraError('CACHE_DAMAGED', `${path}: ${what}`, { kind: 'runtime', details: { path } });
  const file = await openSafetensors(await fileSource(path));
  try {
    const checksums = JSON.parse(file.metadata.crc32 ?? 'null') as Record<string, number> | null;
    if (checksums === null || linears.some((name) => !file.tensors.has(name)))
      throw damaged('it does not hold every layer');
    const tensors = new Map(base.tensors);
    for (const [name, entry] of file.tensors) tensors.set(name, { ...entry, file: path });
    return {
      name: base.name,
      tensors,
      async readBytes(name, range) {
        if (!file.tensors.has(name)) return base.readBytes(name, range);
        const bytes = await file.readBytes(name, range);
        if (range === undefined && crc32(bytes) !== checksums[name])
          throw damaged(`${name} is not what was written`);
        return bytes;
      },
      readFloat32: (name) => base.readFloat32(name),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
