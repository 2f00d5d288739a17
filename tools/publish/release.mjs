// npm run release: builds, names the repository in every manifest, and publishes what is new with changesets.
// npm makes its provenance statement in a CI job with an identity token alone; elsewhere (a registry of one's own)
// `--without-provenance` must say that there is to be none.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bootstrap, root, stage, turbo } from '../../scripts/bootstrap.mjs';
import { published } from './packages.mjs';
import { repositoryUrl, stamp } from './repository.mjs';

const provenance = !process.argv.includes('--without-provenance');
if (provenance && !process.env.ACTIONS_ID_TOKEN_REQUEST_URL) {
  console.error(
    'npm run release: there is no identity token here for a provenance statement; run the release workflow, or add -- --without-provenance',
  );
  process.exit(2);
}
stage('install', bootstrap);
const url = repositoryUrl(process.env, root);
stage('build', () => turbo(['build']));
const restore = stamp(published, root, url, provenance);
try {
  const changeset = join(root, 'node_modules/.bin/changeset');
  const { status } = spawnSync(changeset, ['publish'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  process.exitCode = status ?? 1;
} finally {
  restore();
}
