import { phiModules, phiTensors } from '@qlorajs/phi2-model';
import type { Nf4Tensor } from '@qlorajs/quant-nf4';
import type { FolderSource, TensorSource } from '@qlorajs/safetensors';
import { type Base, Nf4Writer, textIfThere, withQuantizationConfig } from '@qlorajs/session';
import { opfsFolder } from './folders.js';
import { foldersIn, readStored, storageError, storageFolder, writeStored } from './storage.js';

const PIECE = 16 * 2 ** 20;
const COMPANIONS = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'];

/**
 * Takes a base's layers while they are quantized; what is kept is a bitsandbytes checkpoint. A base that
 * cannot be kept can be used all the same: what fails is told once, by `finish`.
 */
export interface BaseKeeper {
  add(name: string, tensor: Nf4Tensor): Promise<void>;
  /** @throws QLoraError `STORAGE_FULL` */
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

/** A base's name as the name of a folder. */
export function folderName(name: string): string {
  return name.replaceAll(/[^\w.-]+/g, '_');
}

async function* piecesOf(weights: TensorSource, name: string): AsyncGenerator<Uint8Array> {
  const { byteLength } = weights.tensors.get(name)!;
  for (let offset = 0; offset < byteLength; offset += PIECE)
    yield await weights.readBytes(name, { offset, length: Math.min(PIECE, byteLength - offset) });
}

/** Keeps a base in 4 bits for the next visit; null for one that is in 4 bits already. */
export async function keepBase(base: Base, weights: TensorSource): Promise<BaseKeeper | null> {
  if (base.quantized) return null;
  const slot = folderName(base.name);
  const bases = await storageFolder('bases');
  await bases.removeEntry(slot, { recursive: true }).catch(() => {});
  const folder = await bases.getDirectoryHandle(slot, { create: true });
  const file = await folder.getFileHandle('model.safetensors', { create: true });
  const handle = await file.createSyncAccessHandle();
  const names = [...phiTensors(base.config).keys()];
  const write = async (bytes: Uint8Array, at: number) => {
    const written = handle.write(bytes as Uint8Array<ArrayBuffer>, { at });
    if (written < bytes.length) throw new DOMException('no room', 'QuotaExceededError');
  };
  let failure: unknown = null;
  const writer = new Nf4Writer({ write }, names);
  const linears = new Set(phiModules(base.config).map(({ name }) => `${name}.weight`));
  return {
    async add(name, tensor) {
      if (failure === null)
        await writer.add(name, tensor).catch((cause: unknown) => {
          failure = storageError(cause, base.name);
        });
    },
    async finish() {
      if (failure !== null) throw failure;
      try {
        for (const name of names) {
          if (linears.has(name)) continue;
          await writer.copy(name, weights.tensors.get(name)!, piecesOf(weights, name));
        }
        await writer.finish({ base: base.name });
        handle.flush();
      } catch (cause) {
        throw storageError(cause, base.name);
      }
      handle.close();
      for (const name of COMPANIONS) {
        const text = await textIfThere(base.source, name);
        if (text !== undefined) await writeStored(folder, name, text);
      }
      // Last: a folder with a config.json is whole.
      const config = (await textIfThere(base.source, 'config.json')) ?? '{}';
      await writeStored(folder, 'config.json', withQuantizationConfig(config, true));
    },
    async abandon() {
      handle.close();
      await bases.removeEntry(slot, { recursive: true }).catch(() => {});
    },
  };
}

export async function keptBase(name: string): Promise<FolderSource> {
  return opfsFolder(await storageFolder('bases', folderName(name)), name);
}

/** What is kept, with its bytes; folders that were never finished are removed. */
export async function keptBases(): Promise<{ name: string; bytes: number }[]> {
  const bases = await storageFolder('bases');
  const kept: { name: string; bytes: number }[] = [];
  for (const name of await foldersIn(bases)) {
    const folder = await bases.getDirectoryHandle(name);
    if ((await readStored(folder, 'config.json')) === null) {
      // One that is being written is open, and stays.
      await bases.removeEntry(name, { recursive: true }).catch(() => {});
      continue;
    }
    const file = await (await folder.getFileHandle('model.safetensors')).getFile();
    kept.push({ name, bytes: file.size });
  }
  return kept;
}

export async function removeKeptBase(name: string): Promise<void> {
  await (await storageFolder('bases')).removeEntry(folderName(name), { recursive: true });
}
