import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesSource, openSafetensors } from '@qlorajs/safetensors';
import { withDefaults } from '@qlorajs/session';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask } from '../src/verbs/ask.js';
import { options, recordingUi, trainHere } from './support/in-process.js';

const folder = mkdtempSync(join(tmpdir(), 'qlora-gpujs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const STEPS = 3;
/** The tolerance of gradients in phi2-model/test/backends.ts, relative to a tensor's largest entry. */
const GRADIENT = 1e-3;
/** Plain JavaScript takes as long again. */
const MODES =
  process.env.QLORAJS_SLOW === '1' ? (['webasm', 'cpu'] as const) : (['webasm'] as const);
const MINUTES = 240_000;

/** Trains phi-nano, with dropout, on one short chat; gives the losses and the adapter's tensors. */
async function train(backend: 'wasm' | 'gpujs', gpujsMode?: 'cpu' | 'webasm') {
  const data = join(folder, 'chat.jsonl');
  const messages = [
    { role: 'user', content: '¿Qué es una pila?' },
    { role: 'assistant', content: 'Lo último que entra sale primero.' },
  ];
  writeFileSync(data, `${JSON.stringify({ messages })}\n`);
  const out = join(folder, gpujsMode ?? backend);
  const run = { base: 'phi-nano', data, out, maxSteps: STEPS, learningRate: 1e-3 };
  await trainHere(options({ ...run, backend, gpujsMode, perDeviceTrainBatchSize: 1 }));
  const bytes = readFileSync(join(out, 'adapter_model.safetensors'));
  const file = await openSafetensors(bytesSource(bytes));
  const log = readFileSync(join(out, 'train_log.jsonl'), 'utf8').trimEnd().split('\n');
  return { out, file, losses: log.map((line) => JSON.parse(line).loss as number) };
}

async function answerOf(adapter: string, backend: 'wasm' | 'gpujs', gpujsMode?: 'cpu' | 'webasm') {
  const results: { text: string }[] = [];
  const ui = { ...recordingUi([]), result: (value: unknown) => results.push(value as never) };
  const asked = { adapter, backend, gpujsMode, maxNewTokens: 6, threads: 2 };
  const all = withDefaults(ask.options, asked as Partial<Parameters<typeof ask.run>[0]>);
  expect(await ask.run(all as Parameters<typeof ask.run>[0], ui, '¿Qué es una pila?')).toBe(0);
  return results[0];
}

describe('phi-nano on gpu.js', () => {
  let wasm: Awaited<ReturnType<typeof train>>;
  beforeAll(async () => {
    wasm = await train('wasm');
  }, MINUTES);

  test.each(MODES)(
    'in mode %s trains to the adapter of the CPU engine, and answers as it does',
    async (mode) => {
      const { out, file, losses } = await train('gpujs', mode);
      expect(losses).toHaveLength(wasm.losses.length);
      for (const [i, loss] of losses.entries())
        expect(Math.abs(loss - wasm.losses[i])).toBeLessThan(1e-4);
      const names = [...wasm.file.tensors.keys()];
      expect([...file.tensors.keys()]).toEqual(names);
      // AdamW divides by |g|, so where a gradient is all but zero its rounding shows: single elements
      // may be off by more than the gradients' tolerance, the tensors are not.
      let [squares, beyond, count] = [0, 0, 0];
      for (const name of names) {
        const ours = await file.readFloat32(name);
        const theirs = await wasm.file.readFloat32(name);
        const largest = theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        count += ours.length;
        ours.forEach((value, i) => {
          const off = Math.abs(value - theirs[i]) / largest;
          squares += off * off;
          if (!(off <= GRADIENT)) beyond++;
        });
      }
      expect(Math.sqrt(squares / count)).toBeLessThan(GRADIENT);
      expect(beyond).toBeLessThan(count / 500);
      const given = await answerOf(out, 'gpujs', mode);
      expect(given.text).toBe((await answerOf(wasm.out, 'wasm')).text);
    },
    MINUTES,
  );
});
