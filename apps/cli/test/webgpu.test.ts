import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { findSwiftShader } from '../../../tools/test/swiftshader.js';
import { hasVulkanDriver } from '../src/io/dawn.js';
import { parseGraphicsMemory } from '../src/io/graphics-memory.js';
import { tinyBase, writeTokenRows } from './support/bases.js';
import { type Ended, start, temporaryFolder } from './support/qlora.js';

const { env: swiftShader, reason } = findSwiftShader();
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const rows = writeTokenRows(at('rows.jsonl'));
const binding = fileURLToPath(new URL('./support/dawn.cjs', import.meta.url));

const run = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  start(args, { env: { ...swiftShader, QLORA_DAWN_VALIDATION: '1', ...env } }).ended;
const withFault = (fault: string, ...args: string[]) =>
  run(args, { QLORA_DAWN: binding, FAULT: fault });
const losses = (out: string) =>
  readFileSync(join(out, 'train_log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).loss as number);

describe.skipIf(!swiftShader)(`--backend webgpu${reason ? `: skipped, ${reason}` : ''}`, () => {
  test('doctor describes the GPU; auto does not take one in software', async () => {
    const { code, stdout } = await run(['doctor', '--json']);
    expect(code).toBe(0);
    const { backends, auto } = JSON.parse(stdout);
    expect(backends[0]).toMatchObject({ name: 'webgpu', available: true });
    expect(backends[0].info).toMatchObject({ software: true, tier: 'f32', f16: false });
    expect(backends[0].info.maxBindingBytes).toBeGreaterThan(2 ** 27);
    expect(auto.backend).toBe('wasm');
    expect(auto.reason).toContain('GPU in software');
  });

  test.each([
    ['none', 'WEBGPU_NO_ADAPTER', /no GPU that WebGPU can use/],
    ['refused', 'WEBGPU_NO_DEVICE', /gives no device: too many devices; close other programs/],
    [
      'full:1100000',
      'COMPUTE_OUT_OF_MEMORY',
      /^no room for \S+ of \d+ bytes beside \d+ in use: .*OUT_OF_DEVICE_MEMORY; use a smaller batch/,
    ],
  ])('a GPU with fault %s ends with %s', async (fault, errorCode, message) => {
    const train = ['train', '--base', tinyBase, '--data', rows, '--out', at('none'), '--json'];
    // As in a release: without Dawn's checks a buffer that was refused would end the process.
    const release = { QLORA_DAWN: binding, FAULT: fault, QLORA_DAWN_VALIDATION: '' };
    const { code, stdout } = await run([...train, '--backend', 'webgpu'], release);
    expect(JSON.parse(stdout).error).toMatchObject({ code: errorCode });
    expect(JSON.parse(stdout).error.message).toMatch(message);
    expect(code).toBe(1);
  });

  test('plan says that the memory of the GPU is not known, and how to give it', async () => {
    const plan = ['plan', '--base', tinyBase, '--data', rows, '--backend', 'webgpu'];
    const { code, stdout } = await run([...plan, '--json']);
    expect(code).toBe(0);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ fits: null, budget_bytes: null });
    expect(document.peak_bytes).toBeGreaterThan(0);
    expect(document.advice).toEqual([expect.stringContaining('--vram-budget 6GB')]);
  }, 120_000);

  test('a device lost while training: the CPU engine goes on from the checkpoint', async () => {
    const all = ['train', '--base', tinyBase, '--data', rows, '--save-steps', '1'];
    const steps = ['--max-steps', '4', '--learning-rate', '0.01'];
    const [lost, cpu] = await Promise.all([
      withFault('gone:60', ...all, ...steps, '--out', at('lost'), '--backend', 'webgpu'),
      run([...all, ...steps, '--out', at('cpu'), '--backend', 'wasm']),
    ]);
    expect(cpu.code).toBe(0);
    expect(lost.stderr).toContain('GPU in software');
    expect(lost.stderr).toMatch(/the GPU device was lost.*goes on from .*lost.checkpoint-\d/);
    expect(lost.stderr).toContain('there is no new device: no GPU that WebGPU can use');
    expect(lost.stderr).toContain('the CPU engine goes on');
    expect(lost.code).toBe(0);
    const [mixed, expected] = [losses(at('lost')), losses(at('cpu'))];
    expect(mixed).toHaveLength(4);
    mixed.forEach((loss, i) => {
      expect(Math.abs(loss / expected[i] - 1)).toBeLessThan(1e-4);
    });
    // Compiling the kernels for a CPU takes most of it.
  }, 240_000);
});

// Minutes on SwiftShader: QLORAJS_SLOW=1 runs it.
test.skipIf(!swiftShader || process.env.QLORAJS_SLOW !== '1')(
  'phi-nano trains on the GPU engine as on the CPU engine',
  async () => {
    const data = fileURLToPath(
      new URL('../../../packages/tutor-dataset/data/test.jsonl', import.meta.url),
    );
    const lines = readFileSync(data, 'utf8').split('\n').slice(0, 4);
    writeFileSync(at('chats.jsonl'), `${lines.join('\n')}\n`);
    const args = ['train', '--base', 'phi-nano', '--data', at('chats.jsonl'), '--max-steps', '2'];
    const rows = ['--per-device-train-batch-size', '1', '--max-seq-length', '48'];
    const rest = ['--truncation', 'truncate', '--learning-rate', '1e-3'];
    const ends = await Promise.all(
      ['webgpu', 'wasm'].map((backend) =>
        run([...args, ...rows, ...rest, '--out', at(`nano-${backend}`), '--backend', backend]),
      ),
    );
    expect(ends.map(({ code }) => code)).toEqual([0, 0]);
    const [gpu, cpu] = [losses(at('nano-webgpu')), losses(at('nano-wasm'))];
    expect(gpu).toHaveLength(2);
    // The tables of the GPU engine are f16, as they are stored; the trained rows are rounded there.
    gpu.forEach((loss, i) => {
      expect(Math.abs(loss / cpu[i] - 1)).toBeLessThan(1e-3);
    });
  },
  600_000,
);

test('auto without a GPU takes the CPU engine and says why', async () => {
  writeFileSync(at('ids.json'), JSON.stringify({ input_ids: [[1, 2]] }));
  const files = ['--ids', at('ids.json'), '--out', at('logits.safetensors')];
  const { code, stderr } = await withFault('none', 'logits', '--base', tinyBase, ...files);
  expect(stderr).toMatch(/^backend wasm: \d+ threads of the CPU, since no GPU that WebGPU can use/);
  expect(code).toBe(0);
});

test('a binding that cannot be loaded is named', async () => {
  const { code, stdout } = await run(['doctor', '--json'], { QLORA_DAWN: at('nowhere.node') });
  expect(code).toBe(0);
  expect(JSON.parse(stdout).backends[0]).toMatchObject({
    available: false,
    code: 'WEBGPU_NO_BINDING',
    reason: expect.stringContaining('nowhere.node cannot be loaded'),
  });
});

test('a Vulkan driver is one that the loader would find', () => {
  if (process.platform !== 'linux') return;
  mkdirSync(at('data/vulkan/icd.d'), { recursive: true });
  const nowhere = { HOME: at('home'), XDG_CONFIG_DIRS: at('a'), XDG_DATA_DIRS: at('b') };
  expect(hasVulkanDriver({ ...nowhere, XDG_DATA_HOME: at('data') })).toBe(hasVulkanDriver(nowhere));
  writeFileSync(at('data/vulkan/icd.d/some.json'), '{}');
  expect(hasVulkanDriver({ ...nowhere, XDG_DATA_HOME: at('data') })).toBe(true);
  expect(hasVulkanDriver({ ...nowhere, VK_DRIVER_FILES: 'x.json' })).toBe(true);
});

test('the memory of graphics cards is read from the lines of nvidia-smi', () => {
  expect(parseGraphicsMemory('NVIDIA RTX 3050, 6144, 5900\nbroken\n, 1, 2\nA, x, 1\n')).toEqual([
    { name: 'NVIDIA RTX 3050', total: 6144 * 2 ** 20, free: 5900 * 2 ** 20 },
  ]);
});
