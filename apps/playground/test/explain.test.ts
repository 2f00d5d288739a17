import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { explain } from '../src/text/explain.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** What a reader of the page can only meet by a mistake of ours. */
const OURS =
  /^(COMPUTE_(FOREIGN_TENSOR|FREE|FREED_TENSOR|INDEX|KERNEL|OPTION|SHAPE|NO_RELAXED_SIMD)|PAGER_BUDGET|PHI_(INPUT|MIXED_ADAPTERS)|PLAN_MEMORY|TRAINER_OPTION)$/;

function codes(): Set<string> {
  const found = new Set<string>();
  const packages = ['gguf', 'phi-nano', 'personalities', 'tutor-dataset'];
  const folders = readdirSync(join(root, 'packages'))
    .filter((name) => !packages.includes(name))
    .map((name) => join(root, 'packages', name, 'src'));
  for (const folder of [...folders, join(root, 'apps/playground/src')])
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!/(?<!\.test)\.tsx?$/.test(file)) continue;
      const source = readFileSync(join(folder, file), 'utf8');
      for (const [, code] of source.matchAll(
        /(?:new QLoraError|[a-zA-Z]*Error)\(\s*'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)'/g,
      ))
        found.add(code);
    }
  return found;
}

test('every error that a reader can meet has its sentence, in both languages', () => {
  const all = [...codes()].filter((code) => !OURS.test(code));
  expect(all.length).toBeGreaterThan(60);
  const unexpected = explain('UNEXPECTED', {}, 'en');
  expect(all.filter((code) => explain(code, {}, 'en') === unexpected)).toEqual([]);
  for (const code of all) expect(explain(code, {}, 'es')).not.toBe(explain(code, {}, 'en'));
});

test('numbers of an error stand in its sentence', () => {
  const details = { peakBytes: 3.7e9, budgetBytes: 2.1e9 };
  expect(explain('PLAN_BASE', details, 'en')).toContain('3.70 GB');
  expect(explain('PLAN_BASE', details, 'es')).toContain('2.10 GB');
});
