// A server of the built command, for the scripts beside this one.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const NAMES = ['tutor', 'sql', 'stories'];
export const adapterFolder = (name) => join(root, 'packages/personalities/adapters', name);

/** Starts `qlora serve` on phi-nano with the three personalities; `url` is there when it is ready. */
export async function startServer(...flags) {
  const args = [
    ...[join(root, 'apps/cli/bin/qlora.js'), 'serve', '--base', 'phi-nano', '--port', '0'],
    ...NAMES.flatMap((name) => ['--adapter', adapterFolder(name)]),
    ...flags,
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      if (text.includes('\n')) resolve(text.trim());
    });
    child.once('exit', (code) => reject(new Error(`qlora serve ended with ${code}`)));
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  return {
    url,
    pid: child.pid,
    async stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** One streamed chat; calls back at the first piece of text. */
export async function chat(url, body, onFirst = () => {}) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
  });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  let [rest, tokens, first, done] = ['', 0, true, false];
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    rest += decoder.decode(bytes, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const data = event.slice('data: '.length);
      if (data === '[DONE]') {
        done = true;
        continue;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      if (first && chunk.choices[0]?.delta.content) {
        first = false;
        onFirst();
      }
      tokens = chunk.usage?.completion_tokens ?? tokens;
    }
  }
  if (!done) throw new Error('the stream ended early');
  return tokens;
}
