// Chromium for the tests that need a browser, and the software GPU that Debian ships with it
// (SwiftShader, which the tests of the WebGPU engine run on). As root on Debian it is installed;
// elsewhere its absence is reported and those tests are skipped by name.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** What the tests look for: a browser, its software GPU, and the loader that finds that GPU. */
const NEEDED = [
  ['chromium', ['/usr/bin/chromium', '/usr/lib/chromium/vk_swiftshader_icd.json']],
  ['libvulkan1', [`/usr/lib/${libraries()}/libvulkan.so.1`]],
];
const APT = ['-o', 'Acquire::http::Timeout=20', '-o', 'DPkg::Lock::Timeout=120', '-qq'];
/** An install takes about a minute; past this it is given up. */
const MOST_MILLISECONDS = 240_000;

function libraries() {
  return `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
}

function isDebian() {
  if (!existsSync('/etc/os-release')) return false;
  return /^ID="?debian"?$/m.test(readFileSync('/etc/os-release', 'utf8'));
}

/** Null when apt-get may install here, or why not. */
function obstacle() {
  if (process.env.QLORAJS_INSTALL === 'never') return 'QLORAJS_INSTALL is "never"';
  if (process.platform !== 'linux' || !isDebian()) return 'this is not Debian';
  if (process.getuid() !== 0) return 'apt-get needs root';
  if (spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status !== 0)
    return 'there is no apt-get';
  return null;
}

/** Runs apt-get; true when it succeeded. Its words are shown only when it failed. */
function apt(args) {
  const { status, signal, stderr, error } = spawnSync('apt-get', [...APT, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: MOST_MILLISECONDS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (status === 0) return true;
  const why = error?.message ?? stderr.trim().slice(-500);
  console.error(`apt-get ${args.join(' ')} failed (${signal ?? status}): ${why}`);
  return false;
}

/** Installs what the browser's tests need where that can be done; never fails the run. */
export function installChromium() {
  const missing = NEEDED.filter(([, files]) => !files.every((file) => existsSync(file)));
  if (missing.length === 0) return;
  const packages = missing.map(([name]) => name);
  const why = obstacle();
  if (why) {
    console.error(
      `${packages.join(' and ')} not installed (${why}): tests that find no browser or no GPU are skipped by name`,
    );
    return;
  }
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  // A mirror may hang or a list may be stale: once more, from fresh lists.
  for (let attempt = 0; attempt < 2; attempt++) if (apt(['update']) && apt(install)) return;
  console.error(`${packages.join(' and ')} did not install: tests that need them are skipped`);
}
