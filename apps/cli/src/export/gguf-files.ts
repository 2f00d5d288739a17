import {
  type GgufMetadata,
  type GgufTensor,
  type GgufType,
  ggufModuleName,
  ggufTensorName,
  loraMetadata,
  phi2Metadata,
  tokenizerMetadata,
} from '@qlorajs/gguf';
import { type PeftAdapterFiles, updateOf } from '@qlorajs/lora';
import { type PhiConfig, phiModules } from '@qlorajs/phi2-model';
import type { TensorSource } from '@qlorajs/safetensors';
import type { ChatFormat } from '@qlorajs/session';
import type { Tokenizer } from '@qlorajs/tokenizer';

/** Metadata and tensors of one file. */
export interface GgufFile {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
}

/** A whole model with its tokenizer. */
export function modelGguf(
  name: string,
  config: PhiConfig,
  weights: TensorSource,
  voice: { readonly tokenizer: Tokenizer; readonly format: ChatFormat | null } | null,
  type: GgufType,
): GgufFile {
  const tensors = [...weights.tensors.values()].map(({ shape }, i) => {
    const key = [...weights.tensors.keys()][i];
    // Norms and biases stay f32, as in llama.cpp's own conversions.
    const stored: GgufType = shape.length === 1 ? 'F32' : type;
    return {
      ...{ name: ggufTensorName(key), shape, type: stored },
      values: () => weights.readFloat32(key),
    };
  });
  const text = voice === null ? new Map() : tokenizerOf(voice, config);
  return { metadata: new Map([...phi2Metadata(config, name, type), ...text]), tensors };
}

function tokenizerOf(
  { tokenizer, format }: { readonly tokenizer: Tokenizer; readonly format: ChatFormat | null },
  config: PhiConfig,
): GgufMetadata {
  const [endOfTurn] = format?.stopIds ?? [];
  const { bosToken, eosId } = tokenizer;
  return tokenizerMetadata({
    tokenizerJson: tokenizer.files()['tokenizer.json'],
    vocabSize: config.vocabSize,
    bosId: bosToken === null ? null : (tokenizer.idOf(bosToken) ?? null),
    eosId,
    endOfTurnId: endOfTurn === undefined || endOfTurn === eosId ? null : endOfTurn,
    chatTemplate: format?.template.source ?? null,
  });
}

/** Whether llama.cpp can apply the adapter to its base: it knows LoRA updates, and no token rows. */
export function isPlainLora({ tensors }: PeftAdapterFiles): boolean {
  return [...tensors.keys()].every((key) => /\.lora_[AB]\.weight$/.test(key));
}

/**
 * An adapter alone. The scaling is left to llama.cpp (alpha / rank) where that is what it is, and goes
 * into B otherwise.
 */
export function adapterGguf(name: string, config: PhiConfig, files: PeftAdapterFiles): GgufFile {
  const { loraAlpha, useRslora, rankPattern, alphaPattern } = files.config;
  const plain =
    !useRslora && Object.keys(rankPattern).length + Object.keys(alphaPattern).length === 0;
  const tensors = phiModules(config).flatMap((module): GgufTensor[] => {
    const update = updateOf(files, module.name);
    if (update === null) return [];
    const { a, b, rank, scaling } = update;
    const into = `${ggufModuleName(module.name)}.weight.lora_`;
    const scaled = plain ? b : b.map((value) => value * scaling);
    return [
      { name: `${into}a`, shape: [rank, module.inFeatures], type: 'F32', values: () => a },
      { name: `${into}b`, shape: [module.outFeatures, rank], type: 'F32', values: () => scaled },
    ];
  });
  return { metadata: loraMetadata(name, plain ? loraAlpha : 0), tensors };
}
