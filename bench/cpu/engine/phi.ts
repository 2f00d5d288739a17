import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backend } from '@qlorajs/compute';
import { loadPhi, type PhiModel, parsePhiConfig } from '@qlorajs/phi2-model';
import { openCheckpoint } from '@qlorajs/safetensors';
import { diskFolder } from '../../disk-folder.js';

export async function openPhi(
  backend: Backend,
  folder: string,
  weights: 'nf4' | 'f32',
): Promise<PhiModel> {
  const config = parsePhiConfig(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
  const quantize = weights === 'nf4' ? { doubleQuant: true } : null;
  const source = await openCheckpoint(diskFolder(folder));
  const model = await loadPhi(backend, config, source, { quantize });
  await source.close();
  return model;
}

/** Token ids that both languages compute alike; `inputs.py` has the same formula. */
export function tokenIds(count: number, vocabSize: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => (i * 7919 + (i % 13) * 104729) % vocabSize);
}
