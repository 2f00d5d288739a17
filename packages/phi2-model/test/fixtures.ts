import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { loadAdapter, readPeftAdapter } from '@qlorajs/lora';
import {
  bytesSource,
  type FolderSource,
  openCheckpoint,
  openSafetensors,
  type SafetensorsFile,
} from '@qlorajs/safetensors';
import { expect } from 'vitest';
import {
  type LabelledBatch,
  type LoadOptions,
  loadPhi,
  type PhiModel,
  parsePhiConfig,
} from '../src/index.js';

export const fixtures = join(dirname(fileURLToPath(import.meta.url)), '../fixtures');

/** A folder on disk, files read whole: fixtures are small. */
export function diskFolder(folder: string): FolderSource {
  return {
    name: folder,
    has: async (file) => existsSync(join(folder, file)),
    async open(file) {
      if (!existsSync(join(folder, file)))
        throw new QLoraError('FILE_MISSING', `${folder}: no ${file}`);
      return bytesSource(new Uint8Array(readFileSync(join(folder, file))), file);
    },
  };
}

export function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(fixtures, ...path), 'utf8')) as T;
}

export async function openFile(...path: string[]): Promise<SafetensorsFile> {
  const file = join(fixtures, ...path);
  return openSafetensors(bytesSource(new Uint8Array(readFileSync(file)), file));
}

/** Little-endian f32 values of a `.f32le.bin` file. */
export function readFloats(...path: string[]): Float32Array {
  const bytes = readFileSync(join(fixtures, ...path));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** Loads the checkpoint in a fixture's folder. */
export async function loadFixture(
  backend: Backend,
  folder: string,
  options: LoadOptions & { readonly baseName?: string },
): Promise<PhiModel> {
  const config = parsePhiConfig(readJson(folder, 'config.json'), 'config.json');
  const source = await openCheckpoint(
    diskFolder(join(fixtures, folder)),
    options.baseName ? { baseName: options.baseName } : {},
  );
  return loadPhi(backend, config, source, options);
}

/** Loads the PEFT adapter in a fixture's folder onto a model's backend. */
export async function loadFixtureAdapter(model: PhiModel, folder: string) {
  const files = await readPeftAdapter(diskFolder(join(fixtures, folder)));
  const { vocabSize, hiddenSize } = model.config;
  return loadAdapter(model.backend, files, model.modules, {
    embedding: { vocabSize, hiddenSize, tied: false },
    savable: model.savable,
  });
}

/** A batch from the `input_ids`, `attention_mask` and `labels` of an expected.json. */
export function batchOf(expected: {
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly labels: number[][];
}): LabelledBatch {
  const { input_ids: rows, attention_mask: masks } = expected;
  return {
    inputIds: Int32Array.from(rows.flat()),
    labels: Int32Array.from(expected.labels.flat()),
    lengths: Int32Array.from(masks, (mask) => mask.reduce((a, b) => a + b)),
    batchSize: rows.length,
    length: rows[0].length,
  };
}

/**
 * The largest absolute difference, and that divided by the largest |expected|. With QLORAJS_REPORT set
 * to a file, every figure is appended there: docs/exactness.md is made from it.
 */
export function difference(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): { readonly absolute: number; readonly relative: number } {
  if (actual.length !== expected.length || expected.length === 0)
    throw new Error(`${actual.length} values instead of ${expected.length}`);
  let absolute = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs(actual[i] - expected[i]);
    if (!(off <= absolute)) absolute = off; // NaN stays and fails every bound
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  const relative = absolute / largest;
  const report = process.env.QLORAJS_REPORT;
  if (report) {
    const test = expect.getState().currentTestName;
    const values = expected.length;
    appendFileSync(report, `${JSON.stringify({ test, values, absolute, relative })}\n`);
  }
  return { absolute, relative };
}
