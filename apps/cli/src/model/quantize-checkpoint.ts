import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkTensors, phiModules, phiTensors } from '@qlorajs/phi2-model';
import { quantizeNf4, toBitsandbytes } from '@qlorajs/quant-nf4';
import {
  planShards,
  safetensorsChunks,
  type TensorInfo,
  type TensorSource,
} from '@qlorajs/safetensors';
import { withQuantizationConfig } from '@qlorajs/session';
import type { BaseFolder } from '../io/base-folder.js';
import { kindOf, readText } from '../io/read.js';
import { type Place, ScratchFile } from '../io/scratch-file.js';

/** Files that go along with the weights as they are. */
const COMPANIONS = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
];

const FLOAT_NAMES: Readonly<Record<string, 'float16' | 'bfloat16' | 'float32'>> = {
  F16: 'float16',
  BF16: 'bfloat16',
};

/** Where each entry's bytes come from: the base, or the scratch file. */
interface PlannedEntry extends TensorInfo {
  readonly place: Place | null;
}

/** Quantizes one linear layer's weight; its entries lie in the scratch file afterwards. */
async function quantizeWeight(
  name: string,
  weights: TensorSource,
  scratch: ScratchFile,
  doubleQuant: boolean,
): Promise<{ entries: PlannedEntry[]; hostBytes: number }> {
  const { dtype, shape, byteLength } = weights.tensors.get(name)!;
  const values = await weights.readFloat32(name);
  const tensor = quantizeNf4(values, {
    shape,
    name,
    dtype: FLOAT_NAMES[dtype] ?? 'float32',
    doubleQuant,
  });
  const entries: PlannedEntry[] = [];
  let hostBytes = byteLength + values.byteLength;
  for (const [key, entry] of Object.entries(toBitsandbytes(name, tensor))) {
    entries.push({ ...entry, name: key, place: await scratch.append(entry.data) });
    hostBytes += entry.data.byteLength;
  }
  return { entries, hostBytes };
}

/** What quantizing did. */
export interface QuantizeReport {
  readonly files: readonly string[];
  /** Bytes of tensor data. */
  readonly bytes: number;
  readonly quantized: number;
  /** Largest sum of bytes held at once for one tensor: as read, widened, quantized. */
  readonly peakHostBytes: number;
}

/**
 * Writes a bitsandbytes 4-bit checkpoint into an empty folder: every linear layer of the blocks in
 * NF4, all else as it is, sharded at 5 GB. One tensor is in memory at a time: quantized ones wait in
 * a scratch file, because a safetensors file begins with the sizes of everything.
 * @param onTensor told the share done
 */
export async function quantizeCheckpoint(
  base: BaseFolder,
  weights: TensorSource,
  folder: string,
  options: { readonly doubleQuant: boolean; readonly onTensor: (share: number) => void },
): Promise<QuantizeReport> {
  checkTensors(base.config, weights.tensors, base.name);
  const linears = new Set(phiModules(base.config).map(({ name }) => `${name}.weight`));
  const names = [...phiTensors(base.config).keys()];
  const scratch = await ScratchFile.create(join(folder, 'scratch'));
  try {
    const entries = new Map<string, PlannedEntry>();
    let peakHostBytes = 0;
    for (const [i, name] of names.entries()) {
      const info = weights.tensors.get(name)!;
      const planned = linears.has(name)
        ? await quantizeWeight(name, weights, scratch, options.doubleQuant)
        : { entries: [{ ...info, name, place: null }], hostBytes: info.byteLength };
      for (const entry of planned.entries) entries.set(entry.name, entry);
      peakHostBytes = Math.max(peakHostBytes, planned.hostBytes);
      options.onTensor((i + 1) / names.length);
    }
    const infos = [...entries.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    const plan = planShards(infos);
    const bytesOf = (name: string) => {
      const { place } = entries.get(name)!;
      return place === null ? weights.readBytes(name) : scratch.read(place);
    };
    for (const { file, tensors } of plan.shards)
      await writeFile(join(folder, file), safetensorsChunks(tensors, bytesOf, { format: 'pt' }), {
        flush: true,
      });
    if (plan.index) await writeFile(join(folder, plan.index.file), plan.index.text);
    const companions = await copyCompanions(base, folder, options.doubleQuant);
    return {
      files: [...plan.shards.map(({ file }) => file), ...companions],
      bytes: plan.totalSize,
      quantized: linears.size,
      peakHostBytes,
    };
  } finally {
    await scratch.remove();
  }
}

/** config.json with its `quantization_config`, tokenizer and generation files. */
async function copyCompanions(
  base: BaseFolder,
  folder: string,
  doubleQuant: boolean,
): Promise<string[]> {
  const config = await readText(join(base.path, 'config.json'));
  await writeFile(join(folder, 'config.json'), withQuantizationConfig(config, doubleQuant));
  const copied: string[] = [];
  for (const file of COMPANIONS) {
    if ((await kindOf(join(base.path, file))) !== 'file') continue;
    await copyFile(join(base.path, file), join(folder, file));
    copied.push(file);
  }
  return ['config.json', ...copied];
}
