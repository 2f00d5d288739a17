import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createSite } from '../src/playground/site.js';
import { qlora, start, temporaryFolder } from './support/qlora.js';

const POLICY = "default-src 'none'; script-src 'self'";

function page(): string {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'assets'));
  writeFileSync(
    join(folder, 'index.html'),
    `<meta http-equiv="Content-Security-Policy" content="${POLICY}"><p>hola`,
  );
  writeFileSync(join(folder, 'assets/a.js'), 'onmessage = null;');
  return folder;
}

test('every answer has the headers of isolation and the policy of the page', async () => {
  const site = await createSite(page());
  for (const path of ['/', '/assets/a.js', '/models/phi-nano/config.json', '/nothing']) {
    const { headers } = await site.request(path);
    expect(headers.get('Cross-Origin-Opener-Policy')).toBe('same-origin');
    expect(headers.get('Cross-Origin-Embedder-Policy')).toBe('require-corp');
    expect(headers.get('Content-Security-Policy')).toBe(`${POLICY}; frame-ancestors 'none'`);
  }
});

test('models and adapters come from their packages, and nothing from elsewhere', async () => {
  const folder = page();
  writeFileSync(join(folder, '..', 'qlora-outside.txt'), 'secret');
  const site = await createSite(folder);
  const status = async (path: string) => (await site.request(path)).status;
  expect(await status('/models/phi-nano/tokenizer.json')).toBe(200);
  expect(await status('/adapters/tutor/adapter_model.safetensors')).toBe(200);
  expect(await status('/data/personalities/stories.jsonl')).toBe(200);
  for (const path of [
    '/..%2fqlora-outside.txt',
    '/assets/..%2f..%2fqlora-outside.txt',
    '/models/phi-nano/..%2fpackage.json',
    '/models/phi-nano/..%5cpackage.json',
    '/%00',
    '/%E0%A4%A',
  ])
    expect(await status(path)).toBeGreaterThanOrEqual(400);
});

test('a page that is not built is an error that says so', async () => {
  await expect(createSite(temporaryFolder())).rejects.toMatchObject({
    code: 'PLAYGROUND_MISSING',
  });
});

test('the built command carries the page, prints its address and stops when told', async () => {
  const { child, ended } = start(['playground', '--no-open', '--port', '0']);
  const [text] = (await once(child.stdout!, 'data')) as [string];
  const url = text.trim();
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const html = await (await fetch(url)).text();
  expect(html).toContain('qlorajs playground');
  const [, script] = /src="\.\/(assets\/[^"]+\.js)"/.exec(html) ?? [];
  expect((await fetch(`${url}/${script}`)).headers.get('Content-Type')).toContain('javascript');
  child.kill('SIGINT');
  expect((await ended).code).toBe(0);
});

test('a port that cannot be is refused', async () => {
  const { code, stderr } = await qlora('playground', '--no-open', '--port', '70000');
  expect(code).toBe(2);
  expect(stderr).toContain('--port');
});
