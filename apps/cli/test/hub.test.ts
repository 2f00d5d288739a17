import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { hubBase } from '../src/hub/hub-base.js';
import { openBase } from '../src/io/base-folder.js';
import { baseOf } from '../src/model/session.js';
import { expected, tinyBase } from './support/bases.js';
import { COMMIT, type Hub, startHub } from './support/hub.js';
import { recordingUi } from './support/in-process.js';
import { start, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const id = 'someone/tiny-phi';
const weights = readFileSync(join(tinyBase, 'model.safetensors'));
let hub: Hub;
let home = '';
let count = 0;

beforeAll(async () => {
  hub = await startHub(id, tinyBase, { 'pytorch_model.bin': 'pickle', 'README.md': '# x' });
});
afterAll(() => hub.close());

/** Every test has an empty cache. */
beforeEach(() => {
  count++;
  home = join(folder, `home-${count}`);
  hub.asked.length = 0;
  hub.meddle = () => false;
  hub.storage = '';
  vi.stubEnv('HF_ENDPOINT', hub.url);
  vi.stubEnv('HF_HOME', home);
  for (const name of ['HF_TOKEN', 'HF_TOKEN_PATH', 'HF_HUB_CACHE', 'HF_HUB_OFFLINE'])
    vi.stubEnv(name, '');
});

const repo = () => join(home, 'hub', 'models--someone--tiny-phi');
const told: string[] = [];
const use = () => ({ ui: recordingUi(told) });
const files = () => hub.asked.map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
const incomplete = () => {
  const [name] = readdirSync(join(repo(), 'blobs')).filter((each) => each.endsWith('.incomplete'));
  return name ? join(repo(), 'blobs', name) : null;
};

test("a model comes into huggingface_hub's cache, and is not asked for again", async () => {
  const path = await hubBase(id, use());
  expect(path).toBe(join(repo(), 'snapshots', COMMIT));
  expect(readdirSync(path).sort()).toEqual([
    'config.json',
    'generation_config.json',
    'model.safetensors',
  ]);
  expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
  expect(readFileSync(join(repo(), 'refs/main'), 'utf8')).toBe(COMMIT);
  // As huggingface_hub names blobs: SHA-256 of large files, git's id of small ones.
  const blobs = readdirSync(join(repo(), 'blobs'));
  expect(blobs.map(({ length }) => length).sort()).toEqual([40, 40, 64]);
  expect(readdirSync(repo()).sort()).toEqual(['.no_exist', 'blobs', 'refs', 'snapshots']);
  expect(told.join('\n')).toMatch(
    /someone\/tiny-phi is no folder here: downloading 3 files, 512\.4 kB, from http/,
  );
  expect(files()).not.toContain('pytorch_model.bin');
  hub.asked.length = 0;
  expect(await hubBase(id, use())).toBe(path);
  expect(hub.asked).toEqual([]);
});

test('config and tokenizer alone, where weights are not needed', async () => {
  const path = await hubBase(id, { ...use(), weights: false });
  expect(readdirSync(path).sort()).toEqual(['config.json', 'generation_config.json']);
  hub.asked.length = 0;
  await hubBase(id, use());
  expect(files().filter((name) => name.endsWith('.json'))).toEqual([]);
  expect(existsSync(join(path, 'model.safetensors'))).toBe(true);
});

test('a cut connection goes on where it was', async () => {
  let cuts = 0;
  hub.meddle = (name, rest, response) => {
    if (name !== 'model.safetensors' || ++cuts > 3) return false;
    response.write(rest.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 50));
    return true;
  };
  const path = await hubBase(id, use());
  expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
  const ranges = hub.asked
    .filter(({ path }) => path === '/storage/model.safetensors')
    .map(({ headers }) => headers.range);
  expect(ranges).toEqual([undefined, 'bytes=100000-', 'bytes=200000-', 'bytes=300000-']);
});

test('a process that is killed leaves what came, and the next goes on from it', async () => {
  hub.meddle = (name, rest, response) => {
    if (name !== 'model.safetensors') return false;
    response.write(rest.subarray(0, 200_000)); // and no more
    return true;
  };
  writeFileSync(join(folder, 'ids.json'), JSON.stringify({ input_ids: expected.input_ids }));
  const out = join(folder, 'logits.safetensors');
  const args = ['logits', '--base', id, '--ids', join(folder, 'ids.json'), '--out', out];
  const env = { HF_ENDPOINT: hub.url, HF_HOME: home, HF_HUB_OFFLINE: '' };
  const first = start([...args, '--backend', 'wasm'], { env });
  await vi.waitFor(() => expect(statSync(incomplete() ?? '').size).toBe(200_000), {
    timeout: 20_000,
    interval: 50,
  });
  first.child.kill('SIGKILL');
  await first.ended;
  hub.meddle = () => false;
  hub.asked.length = 0;
  const second = await start([...args, '--backend', 'wasm'], { env }).ended;
  expect(second.stderr).toContain('downloading');
  expect(second.code).toBe(0);
  expect(hub.asked.at(-1)).toMatchObject({ headers: { range: 'bytes=200000-' } });
  expect(existsSync(out)).toBe(true);
  // Without a network, from the cache.
  const offline = { ...env, HF_HUB_OFFLINE: '1' };
  const third = await start([...args, '--backend', 'wasm', '--json'], { env: offline }).ended;
  expect(third.code).toBe(0);
});

test('a file that comes with another hash is asked for once more, then refused', async () => {
  hub.meddle = (name, rest, response) => {
    if (name !== 'model.safetensors') return false;
    const spoiled = Buffer.from(rest);
    spoiled[1000] ^= 1;
    response.end(spoiled);
    return true;
  };
  await expect(hubBase(id, use())).rejects.toMatchObject({ code: 'HUB_DAMAGED', kind: 'runtime' });
  expect(files().filter((name) => name === 'model.safetensors')).toHaveLength(4); // with redirects
  expect(existsSync(join(repo(), 'snapshots', COMMIT))).toBe(false);
  expect(incomplete()).toBeNull();
  hub.meddle = () => false;
  await hubBase(id, use());
});

test('what an earlier attempt left wrong is thrown away', async () => {
  mkdirSync(join(repo(), 'blobs'), { recursive: true });
  const { createHash } = await import('node:crypto');
  const blob = createHash('sha256').update(weights).digest('hex');
  writeFileSync(join(repo(), 'blobs', `${blob}.incomplete`), Buffer.alloc(5000, 7));
  const path = await hubBase(id, use());
  expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true);
});

describe('tokens', () => {
  const tokens = () => new Set(hub.asked.map(({ headers }) => headers.authorization));

  test('none', async () => {
    await hubBase(id, use());
    expect([...tokens()]).toEqual([undefined]);
  });

  test('HF_TOKEN, else the file that logging in writes', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_one');
    await hubBase(id, { ...use(), weights: false });
    expect([...tokens()]).toEqual(['Bearer hf_one']);
    hub.asked.length = 0;
    vi.stubEnv('HF_TOKEN', '');
    writeFileSync(join(home, 'token'), 'hf_two\n');
    await hubBase(id, use());
    expect(tokens()).toContain('Bearer hf_two');
  });
});

test('a token does not follow a redirect to another host', async () => {
  vi.stubEnv('HF_TOKEN', 'hf_one');
  hub.storage = hub.url.replace('127.0.0.1', 'localhost');
  await hubBase(id, use());
  const stored = hub.asked.filter(({ path }) => path.startsWith('/storage/'));
  expect(stored.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  expect(stored[0].headers.host).toContain('localhost');
});

describe('refused', () => {
  test('an id that there is not: exit 2', async () => {
    const { code, stderr } = await start(['tokenize', '--base', 'someone/else'], {
      env: { HF_ENDPOINT: hub.url, HF_HOME: home, HF_HUB_OFFLINE: '' },
    }).ended;
    expect(stderr).toMatch(/no such folder here, and http.* shows no model of this name.*HUB_NOT/);
    expect(code).toBe(2);
  });

  test('no network: exit 2, and what to do', async () => {
    const away = await startHub(id, tinyBase);
    await away.close();
    const { code, stderr } = await start(['train', '--base', id, '--data', 'x', '--out', 'y'], {
      env: { HF_ENDPOINT: away.url, HF_HOME: home, HF_HUB_OFFLINE: '' },
    }).ended;
    expect(stderr).toMatch(/cannot be asked .*ECONNREFUSED.*connect to the network, or give the/);
    expect(code).toBe(2);
    expect(existsSync(home)).toBe(false);
  });

  test('offline, when it is not in the cache', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    await expect(hubBase(id, use())).rejects.toMatchObject({ code: 'HUB_OFFLINE', kind: 'input' });
    expect(hub.asked).toEqual([]);
  });

  test('pickled weights', async () => {
    const pickled = await startHub('a/b', join(tinyBase, '../adapter'), {
      'config.json': '{}',
      'pytorch_model.bin': 'x',
    });
    vi.stubEnv('HF_ENDPOINT', pickled.url);
    await expect(hubBase('a/b', use())).rejects.toThrowError(/pickled .* run code/);
    expect(pickled.asked).toHaveLength(1);
    await pickled.close();
  });

  test('a mistyped path is no id, and the base of an adapter is not downloaded unasked', async () => {
    await expect(openBase('apps/phi-2', use())).rejects.toMatchObject({ code: 'BASE_MISSING' });
    const adapter = { files: { config: { baseModelNameOrPath: id } } } as never;
    await expect(baseOf(undefined, [adapter], use())).rejects.toThrowError(
      /--base someone\/tiny-phi downloads it/,
    );
    expect(hub.asked).toEqual([]);
    await hubBase(id, use());
    expect((await baseOf(undefined, [adapter], use())).name).toBe(id);
  });
});
