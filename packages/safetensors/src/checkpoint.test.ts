import { expect, test } from 'vitest';
import { failure } from '../test/support.js';
import {
  type FolderSource,
  memoryFolder,
  openCheckpoint,
  planShards,
  writeSafetensors,
} from './index.js';

/** U8 tensors, each holding the length of its name. */
function shard(...names: string[]): Uint8Array {
  return writeSafetensors(
    Object.fromEntries(
      names.map((name) => [name, { dtype: 'U8', shape: [1], data: new Uint8Array([name.length]) }]),
    ),
  );
}

function text(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
}

const INDEX = 'model.safetensors.index.json';
const S1 = 'model-00001-of-00002.safetensors';
const S2 = 'model-00002-of-00002.safetensors';
const indexOf = (weightMap: Record<string, string>) =>
  text({ metadata: { total_size: 3, total_parameters: 3.5, more: [null] }, weight_map: weightMap });
const sound = indexOf({ a: S1, bb: S1, ccc: S2 });

/** Counts what is open. */
function counted(
  folder: FolderSource,
): FolderSource & { open: FolderSource['open']; held: number } {
  const counting = {
    ...folder,
    held: 0,
    async open(file: string) {
      const source = await folder.open(file);
      counting.held++;
      return {
        ...source,
        async close() {
          counting.held--;
        },
      };
    },
  };
  return counting;
}

test('reads shards as one model', async () => {
  const folder = counted(
    memoryFolder(
      [
        [INDEX, sound],
        [S1, shard('a', 'bb')],
        [S2, shard('ccc')],
      ],
      'phi',
    ),
  );
  const model = await openCheckpoint(folder);
  expect(model.name).toBe('phi');
  expect([...model.tensors].map(([name, { file, dtype }]) => [name, file, dtype])).toEqual([
    ['a', S1, 'U8'],
    ['bb', S1, 'U8'],
    ['ccc', S2, 'U8'],
  ]);
  expect(await model.readBytes('ccc')).toEqual(new Uint8Array([3]));
  expect(await model.readBytes('bb', { offset: 1, length: 0 })).toEqual(new Uint8Array(0));
  expect((await failure(() => model.readFloat32('a'))).message).toContain(`phi/${S1}: tensor "a"`);
  expect((await failure(() => model.readBytes('d'))).code).toBe('SAFETENSORS_TENSOR_NOT_FOUND');
  expect(folder.held).toBe(2);
  await model.close();
  expect(folder.held).toBe(0);
});

test('prefers the single file, as transformers does, and takes another base name', async () => {
  const files = [
    ['model.safetensors', shard('a')],
    [INDEX, sound],
    ['adapter_model.safetensors', shard('lora')],
  ] as const;
  expect([...(await openCheckpoint(memoryFolder(files))).tensors.keys()]).toEqual(['a']);
  const adapter = await openCheckpoint(memoryFolder(files), { baseName: 'adapter_model' });
  expect(adapter.tensors.get('lora')?.file).toBe('adapter_model.safetensors');
});

test('reads what planShards and the writer make', async () => {
  const infos = ['x', 'y', 'z'].map((name) => ({ name, dtype: 'U8', shape: [1] }) as const);
  const plan = planShards(infos, { maxShardSize: 2, baseName: 'm' });
  const model = await openCheckpoint(
    memoryFolder([
      [plan.index!.file, text(plan.index!.text)],
      ...plan.shards.map(
        ({ file, tensors }) => [file, shard(...tensors.map(({ name }) => name))] as const,
      ),
    ]),
    { baseName: 'm' },
  );
  expect([...model.tensors.keys()]).toEqual(['x', 'y', 'z']);
});

test('a folder without weights, and a file that is not there', async () => {
  const error = await failure(() => openCheckpoint(memoryFolder([], 'empty')));
  expect(error.code).toBe('SAFETENSORS_CHECKPOINT_MISSING');
  expect(error.message).toContain('empty: it holds neither model.safetensors nor');
  expect((await failure(() => memoryFolder([], 'empty').open('x'))).code).toBe(
    'SAFETENSORS_FILE_MISSING',
  );
});

test('lists everything that index and shards disagree in, in one error', async () => {
  const folder = counted(
    memoryFolder(
      [
        [
          INDEX,
          indexOf({
            a: S1,
            bb: S1,
            lost: S1,
            ccc: S2,
            moved: S2,
            x: 'gone.safetensors',
            y: 'gone.safetensors',
          }),
        ],
        [S1, shard('a', 'bb', 'moved')],
        [S2, shard('ccc', 'moved', 'extra')],
      ],
      'phi',
    ),
  );
  const error = await failure(() => openCheckpoint(folder));
  expect(error.code).toBe('SAFETENSORS_SHARDS');
  expect(error.details.file).toBe(`phi/${INDEX}`);
  expect(error.details.problems).toEqual([
    `${S1} does not hold "lost"`,
    `${S1} holds "moved", which the index places in ${S2}`,
    `${S2} holds "extra", which the index does not name`,
    'shard "gone.safetensors" is missing (2 tensors)',
  ]);
  expect(error.message).toMatch(
    /^phi\/model.safetensors.index.json: the index and the shards disagree; fetch [^\n]+:(\n {2}.+){4}$/,
  );
  expect(folder.held).toBe(0);
});

test('a long list is cut in the message, whole in the details', async () => {
  const names = Array.from({ length: 30 }, (_, i) => `t${i}`);
  const folder = memoryFolder([
    [INDEX, indexOf({ a: S1 })],
    [S1, shard('a', ...names)],
  ]);
  const error = await failure(() => openCheckpoint(folder));
  expect(error.details.problems).toHaveLength(30);
  expect(error.message).toContain('… and 20 more');
});

test('closes the shards before one that cannot be read', async () => {
  const folder = counted(
    memoryFolder(
      [
        [INDEX, sound],
        [S1, shard('a', 'bb')],
        [S2, text('garbage')],
      ],
      'phi',
    ),
  );
  const error = await failure(() => openCheckpoint(folder));
  expect(error.details.file).toBe(`phi/${S2}`);
  expect(folder.held).toBe(0);
});

test.each([
  '/etc/passwd',
  '../model.safetensors',
  'sub/model.safetensors',
  '..',
  '.',
  '',
  '..\\model.safetensors',
  'C:model.safetensors',
  'https://example.org/x',
  'a\u0000b',
])('refuses the shard name %j before it opens anything', async (name) => {
  const asked: string[] = [];
  const folder = memoryFolder([[INDEX, indexOf({ a: name })]]);
  const error = await failure(() =>
    openCheckpoint({
      ...folder,
      async has(file) {
        asked.push(file);
        return folder.has(file);
      },
    }),
  );
  expect(error).toMatchObject({
    code: 'SAFETENSORS_SHARD_NAME',
    details: { tensor: 'a', shard: name },
  });
  expect(asked).toEqual(['model.safetensors', INDEX]);
});

test.each([
  ['', 'SAFETENSORS_INDEX_JSON'],
  ['[]', 'SAFETENSORS_INDEX_JSON'],
  ['{}', 'SAFETENSORS_INDEX_JSON'],
  ['{"weight_map":[]}', 'SAFETENSORS_INDEX_JSON'],
  ['{"weight_map":{"a":1}}', 'SAFETENSORS_INDEX_JSON'],
  [`{"weight_map":{"a":"${S1}"}} x`, 'SAFETENSORS_INDEX_JSON'],
  [`{"metadata":{"x":tru},"weight_map":{"a":"${S1}"}}`, 'SAFETENSORS_INDEX_JSON'],
  [`{"weight_map":{"a":"${S1}","a":"${S2}"}}`, 'SAFETENSORS_DUPLICATE_KEY'],
  [`{"weight_map":{},"weight_map":{"a":"${S2}"}}`, 'SAFETENSORS_DUPLICATE_KEY'],
])('refuses the index %s', async (json, code) => {
  const folder = counted(memoryFolder([[INDEX, text(json)]], 'phi'));
  const error = await failure(() => openCheckpoint(folder));
  expect(error).toMatchObject({ code, details: { file: `phi/${INDEX}` } });
  expect(folder.held).toBe(0);
});

test('refuses an index that is not UTF-8, or too large to be one', async () => {
  const bad = memoryFolder([[INDEX, new Uint8Array([0x7b, 0xff, 0x7d])]]);
  expect((await failure(() => openCheckpoint(bad))).code).toBe('SAFETENSORS_INDEX_JSON');
  const large: FolderSource = {
    name: 'large',
    has: async (file) => file === INDEX,
    open: async (file) => ({
      name: file,
      size: 100_000_001,
      read: () => Promise.reject(new Error('it must not be read')),
    }),
  };
  expect((await failure(() => openCheckpoint(large))).code).toBe('SAFETENSORS_INDEX_TOO_LARGE');
});

test('a tensor may be called __proto__ in an index too', async () => {
  const json = `{"weight_map":{"__proto__":"${S1}"}}`;
  const model = await openCheckpoint(
    memoryFolder([
      [INDEX, text(json)],
      [S1, shard('__proto__')],
    ]),
  );
  expect(await model.readBytes('__proto__')).toEqual(new Uint8Array([9]));
});
