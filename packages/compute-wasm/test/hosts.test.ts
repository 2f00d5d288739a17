// Hosts other than this Node: a page without SharedArrayBuffer, a page with workers from Blobs, and
// the end of a process.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type OpCase, opCases } from '@qlorajs/compute/testing';
import { build } from 'tsup';
import { afterEach, expect, test, vi } from 'vitest';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

/** The engine, loaded anew into a host that has been changed. */
async function load() {
  vi.resetModules();
  return import('../src/index.js');
}

const CASES = ['linear nf4 70x320 to 136, bias', 'attention, longer than a tile', 'gelu of 1003'];

function someCases(): OpCase[] {
  const found = opCases().filter((each) => CASES.includes(each.name));
  expect(found).toHaveLength(CASES.length);
  return found;
}

async function results(createWasmBackend: Awaited<ReturnType<typeof load>>['createWasmBackend']) {
  const backend = await createWasmBackend({ threads: 2 });
  const outputs = [];
  for (const each of someCases()) outputs.push(await each.run(backend));
  const { info } = backend;
  await backend.dispose();
  return { info, outputs };
}

test('without SharedArrayBuffer it runs on one thread and gives the same bytes', async () => {
  const here = await results((await load()).createWasmBackend);
  vi.stubGlobal('SharedArrayBuffer', undefined);
  const there = await results((await load()).createWasmBackend);
  expect(here.info).toMatchObject({ threads: 2, sharedMemory: true });
  expect(there.info).toMatchObject({ threads: 1, sharedMemory: false });
  expect(there.outputs).toEqual(here.outputs);
});

/** A page's Worker: starts from a Blob's URL, speaks through postMessage and onmessage. */
function pageWorker(blobs: Map<string, Blob>) {
  return class PageWorker {
    readonly #started: Promise<Worker>;
    readonly #listeners: ((event: { data: unknown }) => void)[] = [];
    constructor(url: string) {
      this.#started = (async () => {
        const prelude = `
          const { parentPort } = require('node:worker_threads');
          process.getBuiltinModule = undefined;
          globalThis.postMessage = (data) => parentPort.postMessage(data);
          parentPort.on('message', (data) => globalThis.onmessage({ data }));`;
        const worker = new Worker(prelude + (await blobs.get(url)!.text()), { eval: true });
        worker.on('message', (data) => {
          for (const listener of this.#listeners) listener({ data });
        });
        return worker;
      })();
    }
    addEventListener(type: string, listener: (event: { data: unknown }) => void) {
      if (type === 'message') this.#listeners.push(listener);
    }
    async postMessage(message: unknown) {
      (await this.#started).postMessage(message);
    }
    async terminate() {
      await (await this.#started).terminate();
    }
  };
}

test('in a page it starts workers from a Blob and gives the same bytes', async () => {
  const here = await results((await load()).createWasmBackend);
  const blobs = new Map<string, Blob>();
  vi.stubGlobal('Worker', pageWorker(blobs));
  const url = vi.spyOn(URL, 'createObjectURL').mockImplementation((blob) => {
    blobs.set(`blob:${blobs.size}`, blob as Blob);
    return `blob:${blobs.size - 1}`;
  });
  const { getBuiltinModule } = process;
  process.getBuiltinModule = undefined as unknown as typeof getBuiltinModule;
  try {
    const there = await results((await load()).createWasmBackend);
    expect(blobs.size).toBe(1);
    expect(there).toEqual(here);
  } finally {
    process.getBuiltinModule = getBuiltinModule;
    url.mockRestore();
  }
});

test('bundled into one file it runs, and its process ends although nothing was disposed of', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'compute-wasm-'));
  try {
    await build({
      ...{ config: false, silent: true, clean: false, format: 'esm', platform: 'neutral' },
      entry: [fileURLToPath(new URL('../src/index.ts', import.meta.url))],
      outDir: folder,
      noExternal: [/.*/],
      outExtension: () => ({ js: '.mjs' }),
      esbuildOptions(options) {
        options.conditions = ['@qlorajs/source'];
      },
    });
    const script = `
      import { createWasmBackend } from './index.mjs';
      const backend = await createWasmBackend({ threads: 3 });
      const x = backend.empty('f32', [300_000]);
      backend.ops.fill({ out: x, value: 2 });
      const out = backend.empty('f32', [1]);
      backend.ops.sumSquares({ x, out, accumulate: false });
      console.log((await backend.read(out))[0]);`;
    writeFileSync(join(folder, 'run.mjs'), script);
    const options = { timeout: 20_000, encoding: 'utf8' } as const;
    const printed = execFileSync(process.execPath, [join(folder, 'run.mjs')], options);
    expect(printed).toBe('1200000\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
