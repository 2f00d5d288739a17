import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { computed, MEASURED, tables } from './students.js';

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

test('every measured figure stands in its source as it is quoted', () => {
  for (const { printed, source } of Object.values(MEASURED))
    expect(read(source)).toContain(printed);
});

test('the pages show what is computed from them', () => {
  const page = read('docs/serving-10000-students.md');
  for (const table of tables('en')) expect(page).toContain(table);
  const spanish = read('docs/serving-10000-students.es.md');
  for (const table of tables('es').slice(1)) expect(spanish).toContain(table);
});

test('the arithmetic, by hand', () => {
  const { adapter, cache, cards, gpusMean, seconds, trainHours } = computed();
  expect(adapter).toBe(41_943_040);
  expect(cache).toBe(16 * 1024 * 655_360);
  expect(cards[0].f32).toBe(Math.floor((80e9 - 1.665 * 2 ** 30 - 10_737_418_240) / 41_943_040));
  expect(trainHours).toBeCloseTo((10_000 * 116_847) / 8_001 / 3_600, 9);
  expect(gpusMean).toBeCloseTo((100_000 * seconds) / 86_400, 9);
});
