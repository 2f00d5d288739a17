import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { QLoraError } from '@qlorajs/errors';

/** What gives f16 and tensor cores on NVIDIA cards under Linux. */
const FEATURES = 'allow_unsafe_apis,vulkan_enable_f16_on_nvidia,use_vulkan_memory_model';
/** What the kernels were tested without: Dawn's checks of every command, and of every index. */
const RELEASE = 'skip_validation,disable_robustness';

/** Dawn's object: when it is collected, the process ends without a word, so it stays reachable here. */
let dawn: GPU | null = null;

/** Folders in which Vulkan's loader looks for drivers under Linux. */
function driverFolders(env: NodeJS.ProcessEnv): string[] {
  const list = (value: string | undefined, fallback: string) =>
    (value || fallback).split(delimiter).filter(Boolean);
  const home = env.HOME ?? homedir();
  return [
    ...list(env.XDG_CONFIG_HOME, join(home, '.config')),
    ...list(env.XDG_CONFIG_DIRS, '/etc/xdg'),
    '/etc',
    '/usr/local/etc',
    ...list(env.XDG_DATA_HOME, join(home, '.local/share')),
    ...list(env.XDG_DATA_DIRS, '/usr/local/share:/usr/share'),
  ].map((folder) => join(folder, 'vulkan/icd.d'));
}

/**
 * Whether a Vulkan driver is installed; always true elsewhere than under Linux. Where there is none,
 * Dawn need not be loaded, which would write warnings of its own.
 */
export function hasVulkanDriver(env: NodeJS.ProcessEnv = process.env): boolean {
  if (process.platform !== 'linux') return true;
  if (env.VK_DRIVER_FILES || env.VK_ICD_FILENAMES || env.VK_ADD_DRIVER_FILES) return true;
  return driverFolders(env).some((folder) => {
    try {
      return readdirSync(folder).some((file) => file.endsWith('.json'));
    } catch {
      return false;
    }
  });
}

/** The package `webgpu`, or the file that `QLORA_DAWN` names in its place. */
async function loadBinding(): Promise<{ create(options: string[]): GPU }> {
  const file = process.env.QLORA_DAWN;
  try {
    return file ? createRequire(import.meta.url)(file) : await import('webgpu');
  } catch (cause) {
    throw new QLoraError(
      'WEBGPU_NO_BINDING',
      `${file ? `QLORA_DAWN=${file}` : 'the package webgpu, which brings Dawn,'} cannot be loaded on ${process.platform}-${process.arch}: ${(cause as Error).message.split('\n')[0]}; ${file ? 'name the dawn.node of a webgpu package' : 'install qlorajs again'}, or use --backend wasm`,
      { kind: 'runtime', cause },
    );
  }
}

/**
 * Dawn's `GPU`, made at the first call. `QLORA_DAWN_VALIDATION=1` keeps Dawn's own checks.
 * @throws QLoraError `WEBGPU_NO_ADAPTER` where no driver is installed, `WEBGPU_NO_BINDING`
 */
export async function openDawn(): Promise<GPU> {
  if (dawn) return dawn;
  if (!process.env.QLORA_DAWN && !hasVulkanDriver())
    throw new QLoraError(
      'WEBGPU_NO_ADAPTER',
      "no Vulkan driver is installed; install the GPU's own (libvulkan1 and NVIDIA's driver, or mesa-vulkan-drivers), or use --backend wasm",
      { kind: 'runtime' },
    );
  const { create } = await loadBinding();
  const toggles = process.env.QLORA_DAWN_VALIDATION === '1' ? FEATURES : `${FEATURES},${RELEASE}`;
  dawn = create([`enable-dawn-features=${toggles}`]);
  return dawn;
}
