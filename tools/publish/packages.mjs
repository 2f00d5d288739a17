// The packages that are published, and their tarballs as `pnpm publish` would make them.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrap, root, turbo } from '../../scripts/bootstrap.mjs';

/** Where the tarballs lie; ignored by git. */
export const tarballs = join(root, '.packs');

/** `{ name, folder, manifest, tarball }` of every package without `private`. */
export const published = ['packages', 'apps']
  .flatMap((kind) => readdirSync(join(root, kind)).map((name) => join(root, kind, name)))
  .map((folder) => {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const { name, version } = manifest;
    const file = `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
    return { name, folder, manifest, tarball: join(tarballs, file) };
  })
  .filter(({ manifest }) => manifest.private !== true);

/** Makes all tarballs anew, of built packages: they are built first unless `npm test` has just done it. */
export function pack() {
  if (process.env.QLORAJS_BUILT !== '1') {
    bootstrap();
    turbo(['build']);
  }
  rmSync(tarballs, { recursive: true, force: true });
  mkdirSync(tarballs);
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const filters = published.flatMap(({ name }) => ['--filter', name]);
  const args = ['-y', packageManager, '-r', ...filters, 'pack', '--pack-destination', tarballs];
  const { status, stdout, stderr } = spawnSync('npx', args, {
    cwd: root,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(`pnpm pack: ${stdout.slice(-2000)}${stderr.slice(-2000)}`);
}
