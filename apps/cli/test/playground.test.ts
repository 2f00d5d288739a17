import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
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

describe.skipIf(process.platform !== 'linux')('the browser', () => {
  /** Starts the page with these programs alone to be found; its address, and how it ended. */
  async function open(programs: Readonly<Record<string, string>>, ...args: string[]) {
    const bin = temporaryFolder();
    for (const [name, script] of Object.entries(programs))
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const env = { PATH: bin, OPENED: join(bin, 'opened.txt') };
    const { child, ended } = start(['playground', '--port', '0', ...args], { env });
    const [text] = (await once(child.stdout!, 'data')) as [string];
    const end = () => {
      child.kill('SIGINT');
      return ended;
    };
    return { url: text.trim(), opened: env.OPENED, end };
  }

  const opener = { 'xdg-open': 'echo "$@" > "$OPENED.part" && /bin/mv "$OPENED.part" "$OPENED"' };

  test('is opened at the address that is printed', async () => {
    const { url, opened, end } = await open(opener);
    await vi.waitFor(() => expect(readFileSync(opened, 'utf8')).toBe(`${url}\n`), 10_000);
    expect((await fetch(url)).status).toBe(200);
    expect((await end()).code).toBe(0);
  });

  test('is not opened with --no-open', async () => {
    const { opened, end } = await open(opener, '--no-open');
    expect((await end()).code).toBe(0);
    expect(existsSync(opened)).toBe(false);
  });

  test.each([
    ['there is no opener', {}],
    ['the opener fails', { 'xdg-open': 'exit 3' }],
  ])('%s: the address is printed, and the page is served', async (_, programs) => {
    const { url, end } = await open(programs);
    expect((await fetch(url)).status).toBe(200);
    const { code, stderr } = await end();
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/error|ENOENT/i);
  });
});

test('what was fetched is asked for again by its version, and a rest by its range', async () => {
  const site = await createSite(page());
  const path = '/models/phi-nano/model-00001-of-00003.safetensors';
  const whole = await site.request(path);
  const bytes = Buffer.from(await whole.arrayBuffer());
  const version = whole.headers.get('ETag')!;
  const again = await site.request(path, { headers: { 'If-None-Match': version } });
  expect([again.status, await again.text()]).toEqual([304, '']);
  const rest = await site.request(path, { headers: { Range: 'bytes=1000-' } });
  expect(rest.status).toBe(206);
  expect(rest.headers.get('Content-Range')).toBe(`bytes 1000-${bytes.length - 1}/${bytes.length}`);
  expect(rest.headers.get('Cross-Origin-Embedder-Policy')).toBe('require-corp');
  expect(Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(1000))).toBe(true);
  const beyond = await site.request(path, { headers: { Range: `bytes=${bytes.length}-` } });
  expect(beyond.status).toBe(416);
});

test('a port that cannot be is refused', async () => {
  const { code, stderr } = await qlora('playground', '--no-open', '--port', '70000');
  expect(code).toBe(2);
  expect(stderr).toContain('--port');
});
