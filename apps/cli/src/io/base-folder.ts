import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QLoraError } from '@qlorajs/errors';
import { phiNano } from '@qlorajs/phi-nano';
import { type PhiConfig, parsePhiConfig } from '@qlorajs/phi2-model';
import { parseQuantizationConfig } from '@qlorajs/quant-nf4';
import type { FolderSource } from '@qlorajs/safetensors';
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

function notFound(name: string): QLoraError {
  if (/^[\w.-]+\/[\w.-]+$/.test(name) && !name.startsWith('.'))
    return new QLoraError(
      'BASE_HUB_ID',
      `--base ${name}: there is no such folder, and this version does not download from the Hub; run "huggingface-cli download ${name} --local-dir ${name.split('/')[1]}" and give --base ./${name.split('/')[1]}`,
      { details: { base: name } },
    );
  return new QLoraError(
    'BASE_MISSING',
    `--base ${name}: there is no such folder; give the folder of a Hugging Face Phi model, or phi-nano`,
    { details: { base: name } },
  );
}

/**
 * Finds a base model.
 * @param name a folder, or `phi-nano`
 * @throws QLoraError `BASE_MISSING`, `BASE_HUB_ID`, `BASE_CONFIG_MISSING`, `PHI_CONFIG`,
 * `QUANTIZATION_UNSUPPORTED`
 */
export async function openBase(name: string): Promise<BaseFolder> {
  const path = name === phiNano.name ? fileURLToPath(phiNano.folder) : name;
  if ((await kindOf(path)) !== 'folder') throw notFound(name);
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
