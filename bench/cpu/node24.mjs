// A Node with relaxed SIMD, as a development tool: the npm packages node-PLATFORM-ARCH hold the binary.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '24.21.0';
const folder = fileURLToPath(new URL('../.node', import.meta.url));

/** Path of the binary, fetched once into the git-ignored bench/.node; null where npm has none. */
export function node24() {
  const windows = process.platform === 'win32';
  const name = `node-${windows ? 'win' : process.platform}-${process.arch}`;
  const binary = join(folder, 'node_modules', name, 'bin', windows ? 'node.exe' : 'node');
  if (existsSync(binary)) return binary;
  const flags = ['--no-save', '--no-audit', '--no-fund', '--prefix', folder];
  const { status, stderr } = spawnSync('npm', ['install', ...flags, `${name}@${VERSION}`], {
    encoding: 'utf8',
    shell: windows,
  });
  if (status === 0 && existsSync(binary)) return binary;
  console.error(`Node ${VERSION} did not install (${name}): ${stderr.trim().slice(-300)}`);
  return null;
}
