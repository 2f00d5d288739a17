import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QLoraError } from '@qlorajs/errors';
import { phiNano } from '@qlorajs/phi-nano';
import { type PhiConfig, parsePhiConfig } from '@qlorajs/phi2-model';
import { parseQuantizationConfig } from '@qlorajs/quant-nf4';
import type { FolderSource } from '@qlorajs/safetensors';
import { type HubUse, hubBase, isHubId } from '../hub/hub-base.js';
import { folderSource } from './file-source.js';
import { kindOf, readJson } from './read.js';

/** A base model's folder, its config read and checked. */
export interface BaseFolder {
  /** As the user gave it; what adapters record as their base. */
  readonly name: string;
  readonly path: string;
  readonly source: FolderSource;
  readonly config: PhiConfig;
  /** Its linear layers are stored in 4 bits already. */
  readonly quantized: boolean;
}

/** @throws QLoraError `BASE_MISSING`, and what the Hub's part throws */
async function folderOf(name: string, hub: HubUse | undefined): Promise<string> {
  const path = name === phiNano.name ? fileURLToPath(phiNano.folder) : name;
  if ((await kindOf(path)) === 'folder') return path;
  // `models/phi` beside a folder `models` is a path that was mistyped, and nobody else's business.
  const isPath = (await kindOf(name)) === 'file' || (await kindOf(dirname(name))) === 'folder';
  if (hub && isHubId(name) && !isPath) return hubBase(name, hub);
  throw new QLoraError(
    'BASE_MISSING',
    `--base ${name}: there is no such folder; give the folder of a Hugging Face Phi model, the id of one on the Hub (microsoft/phi-2), or phi-nano`,
    { details: { base: name } },
  );
}

/**
 * Finds a base model.
 * @param name a folder, a model's id on the Hub, or `phi-nano`
 * @param hub how the Hub may be used; without it, ids are refused
 * @throws QLoraError `BASE_MISSING`, `BASE_CONFIG_MISSING`, `HUB_*`, `PHI_CONFIG`,
 * `QUANTIZATION_UNSUPPORTED`
 */
export async function openBase(name: string, hub?: HubUse): Promise<BaseFolder> {
  const path = await folderOf(name, hub);
  const file = join(path, 'config.json');
  if ((await kindOf(file)) !== 'file')
    throw new QLoraError(
      'BASE_CONFIG_MISSING',
      `${path} has no config.json; give the folder of a Hugging Face model (weights, config.json, tokenizer.json)`,
      { details: { folder: path } },
    );
  const rawConfig = await readJson(file);
  const config = parsePhiConfig(rawConfig, file);
  const quantization = (rawConfig as Record<string, unknown>).quantization_config ?? null;
  if (quantization !== null) parseQuantizationConfig(quantization);
  const quantized = quantization !== null;
  return { name, path, source: folderSource(path), config, quantized };
}
