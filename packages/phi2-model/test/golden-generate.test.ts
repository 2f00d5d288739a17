import type { Backend } from '@qlorajs/compute';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  GenerationPool,
  generate,
  type LogitsOptions,
  type PhiModel,
  processLogits,
} from '../src/index.js';
import { backends } from './backends.js';
import { difference, loadFixture, openFile, readJson } from './fixtures.js';

interface Case {
  readonly prompt: number[];
  readonly output: number[];
  readonly options: Readonly<Record<string, number>>;
  readonly stop: number | null;
}

interface Expected {
  readonly greedy: readonly Case[];
  readonly answer_penalty: readonly Case[];
  readonly batch: readonly Case[];
  readonly sampling: readonly Case[];
}

const expected = readJson<Expected>('generate.json');

function optionsOf({ options }: Case): LogitsOptions {
  return {
    topK: options.top_k,
    topP: options.top_p,
    minP: options.min_p,
    repetitionPenalty: options.repetition_penalty,
    temperature: options.temperature ?? 1,
  };
}

describe('scores of transformers, value by value', () => {
  test.each(expected.sampling.map((each, i) => ({ each, i, name: JSON.stringify(each.options) })))(
    '$name',
    async ({ each, i }) => {
      const file = await openFile('generate.safetensors');
      const logits = await file.readFloat32(`${i}.logits`);
      const scores = await file.readFloat32(`${i}.scores`);
      const steps = each.output.length - each.prompt.length;
      const size = logits.length / steps;
      for (let step = 0; step < steps; step++) {
        const [from, to] = [step * size, (step + 1) * size];
        const seen = each.output.slice(0, each.prompt.length + step);
        const actual = processLogits(logits.subarray(from, to), seen, size, optionsOf(each));
        const wanted = scores.subarray(from, to);
        const finite = (values: Float32Array) =>
          [...values.keys()].filter((id) => values[id] > -Infinity);
        expect(finite(actual)).toEqual(finite(wanted));
        const kept = finite(wanted);
        expect(
          difference(
            kept.map((id) => actual[id]),
            kept.map((id) => wanted[id]),
          ).absolute,
        ).toBeLessThan(1e-5);
      }
    },
  );
});

/** On a GPU in software these many tokens would take minutes; golden-hf-phi decodes there. */
const fast = backends.filter(({ slow }) => !slow);

describe.each(fast)('answers of transformers on $name', ({ create, tolerance }) => {
  let backend: Backend;
  let model: PhiModel;

  beforeAll(async () => {
    backend = await create();
    model = await loadFixture(backend, 'hf-phi/dev-a/base', { quantize: null });
  });

  afterAll(() => backend.dispose());

  test('greedy, with repetition penalties and stop tokens', async () => {
    for (const { prompt, output, options, stop } of expected.greedy) {
      const ids = [...prompt];
      const stream = generate(model, prompt, {
        repetitionPenalty: options.repetition_penalty,
        stopIds: stop === null ? [] : [stop],
        maxNewTokens: 16,
      });
      for await (const { id } of stream) ids.push(id);
      expect(stop === null ? ids : [...ids, stop]).toEqual(output);
    }
  });

  test('greedy, with a repetition penalty on the answer alone', async () => {
    for (const { prompt, output, options } of expected.answer_penalty) {
      const ids = [...prompt];
      const stream = generate(model, prompt, {
        repetitionPenalty: options.repetition_penalty,
        penalizePrompt: false,
        maxNewTokens: 16,
      });
      for await (const { id } of stream) ids.push(id);
      expect(ids).toEqual(output);
    }
  });

  test('prompts of unlike length together, as its left-padded batch', async () => {
    const pool = new GenerationPool(model, { prefillChunk: 3 });
    const outputs = await Promise.all(
      expected.batch.map(async ({ prompt }) => {
        const ids = [...prompt];
        const stream = pool.generate(prompt, { adapter: null, maxNewTokens: 16 });
        for await (const { id } of stream) ids.push(id);
        return ids;
      }),
    );
    expect(outputs).toEqual(expected.batch.map(({ output }) => output));
  });

  test('the logits of every step of a sampled answer', async () => {
    const file = await openFile('generate.safetensors');
    for (const [i, { prompt, output }] of expected.sampling.entries()) {
      const logits = await file.readFloat32(`${i}.logits`);
      const { vocabSize } = model.config;
      const length = output.length;
      const all = await model.logits({
        inputIds: Int32Array.from(output),
        lengths: Int32Array.of(length),
        batchSize: 1,
        length,
      });
      const ours = all.subarray((prompt.length - 1) * vocabSize, (length - 1) * vocabSize);
      expect(difference(ours, logits).absolute).toBeLessThan(tolerance.absolute);
    }
  });
});
