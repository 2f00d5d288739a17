import { createHash } from 'node:crypto';
import { mkdir, realpath, stat, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isQLoraError } from '@qlorajs/errors';
import { phiModules } from '@qlorajs/phi2-model';
import type { Nf4Tensor } from '@qlorajs/quant-nf4';
import type { TensorSource } from '@qlorajs/safetensors';
import { formatBytes } from '@qlorajs/session';
import { besideThenRename } from '../io/atomic.js';
import type { BaseFolder } from '../io/base-folder.js';
import { kindOf } from '../io/read.js';
import type { Ui } from '../report/ui.js';
import { cacheFolder, removeCached } from './cache-folder.js';
import { createNf4File } from './nf4-file.js';
import { withCachedLinears } from './nf4-reader.js';

/** Stored bytes of linear layers from which quantizing them takes longer than a person likes to wait. */
const WORTH_KEEPING = 256e6;

/** Bytes of NF4 a value: the code, the scale's code, the scale of 256 scales. */
const BYTES_PER_VALUE = 1 / 2 + 1 / 64 + 4 / (64 * 256);

/** One base's place in the cache. */
export interface CacheSlot {
  readonly folder: string;
  readonly path: string;
  /** Begins the names of all slots of this base, older states of its files among them. */
  readonly prefix: string;
  readonly linears: readonly string[];
  /** About what the file takes. */
  readonly bytes: number;
}

const hash = (value: unknown, length: number) =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, length);

/**
 * Where a base's quantized form belongs: it depends on the names, sizes and times of the base's files
 * and on how they are quantized. Null for a base that is quantized already, or so small that quantizing
 * it takes no time.
 */
export async function cacheSlot(
  base: BaseFolder,
  weights: TensorSource,
  doubleQuant: boolean,
  worthKeeping = WORTH_KEEPING,
): Promise<CacheSlot | null> {
  const linears = phiModules(base.config).map(({ name }) => `${name}.weight`);
  const entries = linears.map((name) => weights.tensors.get(name));
  const stored = entries.reduce((sum, entry) => sum + (entry?.byteLength ?? 0), 0);
  if (base.quantized || stored < worthKeeping) return null;
  const path = await realpath(base.path);
  const names = new Set([...weights.tensors.values()].map(({ file }) => file));
  const files = [];
  for (const name of ['config.json', ...[...names].sort()]) {
    const { size, mtimeMs } = await stat(join(path, name));
    files.push([name, size, mtimeMs]);
  }
  const folder = cacheFolder();
  const form = doubleQuant ? 'nf4-double' : 'nf4';
  const prefix = `${basename(path)}-${hash(path, 8)}-${form}-`;
  const key = hash({ version: 1, path, files, form }, 16);
  const values = phiModules(base.config).reduce(
    (sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures,
    0,
  );
  const bytes = values * (doubleQuant ? BYTES_PER_VALUE : 1 / 2 + 4 / 64);
  return { folder, path: join(folder, `${prefix}${key}.safetensors`), prefix, linears, bytes };
}

/** Whether a failure may be the cached file's fault rather than the base's or the device's. */
function isOfCache(error: unknown): boolean {
  return isQLoraError(error) && /^(CACHE|SAFETENSORS|NF4|FILE|PHI_TENSORS)/.test(error.code);
}

/**
 * Loads with the layers of the cache.
 * @returns null where the slot is empty, or damaged: that is told, and the file removed
 */
export async function loadCached<T>(
  slot: CacheSlot,
  weights: TensorSource,
  ui: Pick<Ui, 'warn' | 'info'>,
  load: (source: TensorSource) => Promise<T>,
): Promise<T | null> {
  if ((await kindOf(slot.path)) !== 'file') return null;
  try {
    const source = await withCachedLinears(weights, slot.linears, slot.path);
    try {
      const loaded = await load(source);
      ui.info(`the quantized layers came from ${slot.path}`);
      return loaded;
    } finally {
      await source.close();
    }
  } catch (error) {
    if (!isOfCache(error)) throw error;
    ui.warn(`${(error as Error).message}; the cached file is removed and made again`);
    await removeCached(slot.folder, (name) => name === basename(slot.path));
    return null;
  }
}

/** Room for the file, with some left over for others. */
async function hasRoom({ folder, bytes }: CacheSlot): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize > 1.5 * bytes;
}

/**
 * Loads and keeps every layer that is quantized on the way. A cache that cannot be written is told and
 * does no harm.
 */
export async function loadAndKeep<T>(
  slot: CacheSlot,
  base: BaseFolder,
  ui: Pick<Ui, 'warn' | 'info'>,
  load: (onQuantized?: (name: string, tensor: Nf4Tensor) => Promise<void>) => Promise<T>,
): Promise<T> {
  let failure: unknown = null;
  try {
    await mkdir(slot.folder, { recursive: true });
    if (!(await hasRoom(slot))) throw new Error(`the disk has no ${formatBytes(slot.bytes)} free`);
  } catch (error) {
    ui.warn(`the quantized base is not kept: ${(error as Error).message}`);
    return load();
  }
  let loaded: { readonly value: T } | null = null;
  try {
    await besideThenRename(slot.path, async (temporary) => {
      const file = await createNf4File(temporary, slot.linears);
      try {
        const value = await load(async (name, tensor) => {
          if (failure) return;
          await file.writer.add(name, tensor).catch((error: unknown) => {
            failure = error;
          });
        });
        loaded = { value };
        if (failure) throw failure;
        await file.writer.finish({ base: base.path });
        await file.sync();
      } finally {
        await file.close();
      }
    });
  } catch (error) {
    if (loaded === null) throw error;
    ui.warn(`the quantized base is not kept: ${(error as Error).message}`);
    return (loaded as { readonly value: T }).value;
  }
  await removeCached(
    slot.folder,
    (name) => name.startsWith(slot.prefix) && name !== basename(slot.path),
  );
  ui.info(
    `the quantized layers are kept in ${slot.path} for the next start (--no-cache: not; qlora cache lists them)`,
  );
  return loaded!.value;
}
