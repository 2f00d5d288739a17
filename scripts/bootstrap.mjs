// Makes a fresh clone ready with nothing but Node and npm: installs the workspace with the pinned
// pnpm when it is not installed or the lockfile changed since.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stamp = join(root, 'node_modules', '.bootstrap');

/** Runs a command at the root; a failure ends the process with its code. */
export function run(command, args, options = {}) {
  // On Windows npx and the tools of node_modules/.bin are .cmd files, which need a shell.
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    ...options,
  });
  if (status === 0) return;
  if (error) console.error(`${command}: ${error.message}`);
  process.exit(status ?? 1);
}

const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Runs the pinned pnpm, fetched by npx where the machine has none. */
export function pnpm(args) {
  run('npx', ['-y', packageManager, ...args]);
}

/** Runs a tool of the workspace's own node_modules. */
export function tool(name, args) {
  run(join(root, 'node_modules', '.bin', name), args);
}

/** Runs turbo, which calls pnpm for every package and so must find one on the path. */
export function turbo(args) {
  pnpm(['exec', 'turbo', 'run', ...args, '--output-logs=errors-only']);
}

/** Runs a stage and prints how long it took. */
export function stage(name, work) {
  const started = performance.now();
  work();
  console.error(`${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

function fingerprint() {
  const hash = createHash('sha256');
  for (const file of ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml'])
    hash.update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** Installs unless it was done for this very lockfile. */
export function bootstrap() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`Node ${process.versions.node} is too old: qlorajs needs 20.19 or newer`);
    process.exit(2);
  }
  const wanted = fingerprint();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  pnpm(['install', '--frozen-lockfile']);
  writeFileSync(stamp, wanted);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) stage('bootstrap', bootstrap);
