// What the later examples share: phi-nano in NF4 on the CPU engine, its tokenizer with the tutor's four
// tokens, and the files of a folder as the packages want them.
import { readdirSync, readFileSync } from 'node:fs';
import { TUTOR_MARKERS } from '@qlorajs/chat-template';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { phiNano } from '@qlorajs/phi-nano';
import { loadPhi, parsePhiConfig } from '@qlorajs/phi2-model';
import { memoryFolder, openCheckpoint } from '@qlorajs/safetensors';
import { loadTokenizer } from '@qlorajs/tokenizer';

/** A folder's files in memory; a page would fetch them. */
export function folderOf(url) {
  return memoryFolder(readdirSync(url).map((name) => [name, readFileSync(new URL(name, url))]));
}

export const text = (name) => readFileSync(new URL(name, phiNano.folder), 'utf8');

export const config = parsePhiConfig(JSON.parse(text('config.json')));

export const tokenizer = loadTokenizer({
  tokenizerJson: text('tokenizer.json'),
  tokenizerConfig: text('tokenizer_config.json'),
}).addTokens(TUTOR_MARKERS, { limit: config.vocabSize });

export async function loadModel() {
  const backend = await createWasmBackend();
  const weights = await openCheckpoint(folderOf(phiNano.folder));
  const model = await loadPhi(backend, config, weights, { quantize: { doubleQuant: true } });
  return { backend, model };
}
