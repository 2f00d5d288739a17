import { expect, test } from 'vitest';
import { options } from '../test/phi-nano.js';
import { datasetStatistics, readJsonl, tokenizeRows } from './index.js';

test('counts formats, roles and tokens', () => {
  const file = [
    {
      messages: [
        { role: 'user', content: 'Q' },
        { role: 'assistant', content: 'A' },
      ],
    },
    {
      conversations: [
        { from: 'system', value: 'S' },
        { from: 'human', value: 'Q' },
        { from: 'gpt', value: 'A' },
      ],
    },
    { input_ids: [1, 2, 3, 4], labels: [-100, -100, 3, 4] },
    { input_ids: Array(40).fill(1), labels: [...Array(39).fill(-100), 1] },
  ];
  const bytes = new TextEncoder().encode(file.map((row) => JSON.stringify(row)).join('\n'));
  const { rows } = readJsonl(bytes, { file: 'f' });
  const measured = tokenizeRows(rows, options);
  // <|user|> \n Q <|end|> \n <|assistant|> \n A <|end|> \n, and 5 more for the system turn.
  expect([...measured.lengths]).toEqual([10, 15, 4, 40]);
  expect([...measured.trained]).toEqual([2, 2, 2, 1]);
  expect(datasetStatistics(rows, measured, { maxSeqLength: 10 })).toEqual({
    rows: 4,
    formats: { messages: 1, sharegpt: 1, tokens: 2 },
    roles: { system: 1, user: 2, assistant: 2 },
    tokens: 69,
    trainedTokens: 7,
    trainedShare: 7 / 69,
    lengths: { min: 4, mean: 17.25, p50: 10, p90: 40, p95: 40, p99: 40, max: 40 },
    tooLong: 2,
    tooLongShare: 0.5,
  });
});

test('percentiles are nearest-rank', () => {
  const lengths = Int32Array.from({ length: 200 }, (_, index) => 200 - index);
  const { lengths: found } = datasetStatistics(
    [],
    { lengths, trained: lengths },
    { maxSeqLength: 1 },
  );
  expect(found).toEqual({ min: 1, mean: 100.5, p50: 100, p90: 180, p95: 190, p99: 198, max: 200 });
});

test('of nothing', () => {
  const none = new Int32Array();
  expect(datasetStatistics([], { lengths: none, trained: none }, { maxSeqLength: 1 })).toEqual({
    rows: 0,
    formats: {},
    roles: {},
    tokens: 0,
    trainedTokens: 0,
    trainedShare: 0,
    lengths: null,
    tooLong: 0,
    tooLongShare: 0,
  });
});
