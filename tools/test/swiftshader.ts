import { existsSync } from 'node:fs';

/** Where Debian's chromium package keeps SwiftShader, a Vulkan device in software. */
const SWIFTSHADER_ICD = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** What a process needs to find SwiftShader and no other Vulkan device, or why it is not there. */
export type SwiftShader =
  | { readonly env: Readonly<Record<string, string>>; readonly reason: null }
  | { readonly env: null; readonly reason: string };

/** True when `QLORAJS_REQUIRE` (a list) names it: what is absent then fails instead of being skipped. */
export function isRequired(name: string): boolean {
  return process.env.QLORAJS_REQUIRE?.split(',').includes(name) ?? false;
}

/** @throws Error when it is absent and `QLORAJS_REQUIRE` names webgpu. */
export function findSwiftShader(): SwiftShader {
  if (existsSync(SWIFTSHADER_ICD)) {
    const XDG_RUNTIME_DIR = process.env.XDG_RUNTIME_DIR ?? '/tmp';
    return { env: { VK_DRIVER_FILES: SWIFTSHADER_ICD, XDG_RUNTIME_DIR }, reason: null };
  }
  const reason = `SwiftShader is absent (${SWIFTSHADER_ICD}): install chromium`;
  if (isRequired('webgpu')) throw new Error(`QLORAJS_REQUIRE=webgpu, but ${reason}`);
  return { env: null, reason };
}
