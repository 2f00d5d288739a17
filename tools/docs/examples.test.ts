import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { format } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { examplesOf, packageFolders } from './examples.js';

describe.each(packageFolders())('%s', (folder) => {
  const examples = examplesOf(folder);

  test('its README has an example that runs', () => {
    const readme = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(readme).toMatch(/```ts\n/);
    expect(readme).toContain(`@qlorajs/${basename(folder)}`);
  });

  for (const example of examples) {
    test(`${example.name} runs and prints what it says`, async () => {
      const printed: string[] = [];
      const log = vi.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
        printed.push(format(...values)); // as Node's console writes it
      });
      try {
        await import(/* @vite-ignore */ example.module);
      } finally {
        log.mockRestore();
      }
      if (example.expected.length > 0) expect(printed).toEqual(example.expected);
    });
  }
});
