// A clean project outside of the repository, with the packed tarballs as its dependencies.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const windows = process.platform === 'win32';

/** Runs a command in a folder and returns what it printed; throws with all of it when it fails. */
export function output(command, args, cwd, env = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    shell: windows,
    maxBuffer: 2 ** 26,
    env: { ...process.env, ...env },
  });
  if (status === 0) return stdout;
  throw new Error(
    `${command} ${args.join(' ')}: ${error?.message ?? `exit ${status}`}\n${stdout}${stderr}`,
  );
}

/**
 * Makes the project.
 * @param packages of `published`
 * @param others names and versions of what comes from the registry
 */
export function cleanProject(packages, others = {}) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'qlorajs-consumer-')));
  const tarballs = Object.fromEntries(
    packages.map(({ name, tarball }) => [name, `file:${tarball}`]),
  );
  const manifest = { name: 'consumer', private: true, type: 'module' };
  const dependencies = { ...tarballs, ...others };
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ ...manifest, dependencies }, null, 2),
  );
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  output('npm', ['install', ...flags], folder);
  return folder;
}
