// Where the sources of a release are: what npm's provenance statement is checked against.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/**
 * The address of the repository: the one whose CI job this is, else the clone's `origin`.
 * @returns `git+https://host/owner/name.git`
 */
export function repositoryUrl(env, folder) {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = env;
  if (server && name) return `git+${server}/${name}.git`;
  const { status, stdout } = spawnSync('git', ['remote', 'get-url', 'origin'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const remote = status === 0 ? stdout.trim() : '';
  const [, host, path] =
    /^(?:https:\/\/|ssh:\/\/git@|git@)([^/:]+)[/:](.+?)(?:\.git)?$/.exec(remote) ?? [];
  if (!host)
    throw new Error(
      `a release names its repository, and ${remote ? `origin (${remote}) is not one on a host` : 'this clone has no remote "origin"'}: run this in the host's CI, or git remote add origin https://…`,
    );
  return `git+https://${host}/${path}.git`;
}

/**
 * Writes `repository`, and whether provenance is asked for, into the manifests.
 * @param packages `{ folder }` of each
 * @returns puts the manifests back, byte for byte
 */
export function stamp(packages, root, url, provenance) {
  const before = packages.map(({ folder }) => {
    const file = join(folder, 'package.json');
    return { file, folder, text: readFileSync(file, 'utf8') };
  });
  for (const { file, folder, text } of before) {
    const manifest = JSON.parse(text);
    const directory = relative(root, folder).replaceAll('\\', '/');
    manifest.repository = { type: 'git', url, directory };
    manifest.publishConfig.provenance = provenance;
    writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
  }
  return () => {
    for (const { file, text } of before) writeFileSync(file, text);
  };
}
