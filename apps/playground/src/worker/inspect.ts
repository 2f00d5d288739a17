import { QLoraError } from '@qlorajs/errors';
import { phiModules } from '@qlorajs/phi2-model';
import { dequantizeNf4, NF4_CODE, nf4Bytes, quantizeNf4 } from '@qlorajs/quant-nf4';
import { type Base, chooseChatFormat, type Voice } from '@qlorajs/session';
import type { LoraLayerReport, Nf4Report, Rendered, TokenPiece } from '../protocol.js';
import type { Loaded } from './bench.js';
import { singularValuesOfProduct } from './eigen.js';

const BINS = 64;
/** Tiles of the error map along a side, at most. */
const TILES = 48;

/** A text's tokens, one piece each. */
export function tokenize({ tokenizer }: Pick<Voice, 'tokenizer'>, text: string): TokenPiece[] {
  const { ids, offsets } = tokenizer.encode(text);
  return ids.map((id, i) => ({
    id,
    text: text.slice(...offsets[i]) || (tokenizer.tokenOf(id) ?? ''),
    special: tokenizer.decode([id], { skipSpecialTokens: true }) === '',
  }));
}

/** A chat as the model reads it, with what training would cover marked. */
export function render(
  voice: Voice,
  base: Base,
  messages: readonly { role: string; content: string }[],
): Rendered {
  const format =
    voice.format ?? chooseChatFormat(voice.tokenizer, undefined, base.config.vocabSize);
  const asks = messages.at(-1)?.role === 'user';
  const { text, spans } = format.template.render(messages, {
    addGenerationPrompt: asks,
    variables: format.variables,
  });
  const { offsets } = format.tokenizer.encode(text);
  const pieces = tokenize(format, text).map((piece, i) => ({
    ...piece,
    trained: spans.some(({ start, end }) => offsets[i][0] >= start && offsets[i][1] <= end),
  }));
  return { template: format.template.source, text, pieces, stopIds: format.stopIds };
}

/** Names of the weights that are quantized. */
export function matrices({ base }: Loaded): string[] {
  return phiModules(base.config).map(({ name }) => `${name}.weight`);
}

function meanOf(values: Float32Array): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

function errorsOf(values: Float32Array, back: Float32Array): Float32Array {
  return values.map((value, i) => Math.abs(value - back[i]));
}

function tiles(errors: Float32Array, [rows, columns]: readonly number[]): Nf4Report['errorMap'] {
  const [down, across] = [Math.min(TILES, rows), Math.min(TILES, columns)];
  const sums = new Float64Array(down * across);
  const counts = new Float64Array(down * across);
  for (let i = 0; i < errors.length; i++) {
    const row = Math.floor((Math.floor(i / columns) * down) / rows);
    const column = Math.floor(((i % columns) * across) / columns);
    sums[row * across + column] += errors[i];
    counts[row * across + column]++;
  }
  return { rows: down, columns: across, values: Array.from(sums, (sum, i) => sum / counts[i]) };
}

/** A weight matrix before and after NF4. @throws QLoraError `NF4_ALREADY` for a base in 4 bits */
export async function nf4({ base, weights }: Loaded, name: string): Promise<Nf4Report> {
  if (base.quantized)
    throw new QLoraError(
      'NF4_ALREADY',
      `${base.name} came in 4 bits, so its original weights are not here; load phi-nano, or the model from its files`,
    );
  const { shape } = weights.tensors.get(name)!;
  const values = await weights.readFloat32(name);
  const plain = quantizeNf4(values, { shape, name, doubleQuant: false });
  const double = quantizeNf4(values, { shape, name, doubleQuant: true });
  const errors = errorsOf(values, dequantizeNf4(plain));
  const largest = values.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  const counts = new Array<number>(BINS).fill(0);
  for (const value of values)
    counts[Math.min(BINS - 1, Math.floor(((value + largest) / (2 * largest)) * BINS))]++;
  const used = new Array<number>(16).fill(0);
  for (const byte of plain.codes) {
    used[byte >> 4]++;
    used[byte & 15]++;
  }
  return {
    name,
    shape,
    histogram: { from: -largest, to: largest, counts },
    codes: used.map((count, code) => ({ value: NF4_CODE[code], count })),
    errorMap: tiles(errors, shape),
    meanError: meanOf(errors),
    maxError: errors.reduce((most, each) => Math.max(most, each), 0),
    bitsPlain: (8 * nf4Bytes(plain)) / values.length,
    bitsDouble: (8 * nf4Bytes(double)) / values.length,
    meanErrorDouble: meanOf(errorsOf(values, dequantizeNf4(double))),
  };
}

/** What an adapter changes, layer by layer. */
export async function lora({ adapter, name }: Voice): Promise<LoraLayerReport[]> {
  if (adapter === null)
    throw new QLoraError('LORA_NONE', `${name} is the base: it has no adapter to look into`);
  const reports: LoraLayerReport[] = [];
  for (const layer of adapter.layers.values()) {
    const [a, b] = [
      await adapter.backend.read(layer.a.value),
      await adapter.backend.read(layer.b.value),
    ];
    const spectrum = singularValuesOfProduct(b, a, layer.rank).map((each) => each * layer.scaling);
    const norm = Math.sqrt(spectrum.reduce((sum, each) => sum + each * each, 0));
    reports.push({ name: layer.name, rank: layer.rank, norm, spectrum });
  }
  return reports;
}
