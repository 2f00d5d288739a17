import { QLoraError } from '@qlorajs/errors';
import { type PhiConfig, parsePhiConfig } from '@qlorajs/phi2-model';
import { parseQuantizationConfig } from '@qlorajs/quant-nf4';
import type { FolderSource } from '@qlorajs/safetensors';
import { jsonIfThere } from './read-folder.js';

/** A base model's folder, its config read and checked. */
export interface Base {
  /** As the user gave it; what adapters record as their base. */
  readonly name: string;
  readonly source: FolderSource;
  readonly config: PhiConfig;
  /** Its linear layers are stored in 4 bits already. */
  readonly quantized: boolean;
}

/**
 * Reads the configuration of a Hugging Face folder; no weights.
 * @throws QLoraError `BASE_CONFIG_MISSING`, `PHI_CONFIG`, `QUANTIZATION_UNSUPPORTED`
 */
export async function readBase(source: FolderSource, name: string): Promise<Base> {
  const rawConfig = await jsonIfThere(source, 'config.json');
  if (rawConfig === undefined)
    throw new QLoraError(
      'BASE_CONFIG_MISSING',
      `${source.name} has no config.json; give the folder of a Hugging Face model (weights, config.json, tokenizer.json)`,
      { details: { folder: source.name } },
    );
  const config = parsePhiConfig(rawConfig, `${source.name}/config.json`);
  const quantization = (rawConfig as Record<string, unknown>).quantization_config ?? null;
  if (quantization !== null) parseQuantizationConfig(quantization);
  return { name, source, config, quantized: quantization !== null };
}
