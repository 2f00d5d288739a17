// Compiles assembly/ twice (plain SIMD, relaxed SIMD) and writes the bytes into src/generated/kernels.ts.
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const folder = fileURLToPath(new URL('..', import.meta.url));

async function compile({ relaxed, shared }) {
  const features = ['simd', 'threads', ...(relaxed ? ['relaxed-simd'] : [])];
  const maximum = 65535;
  const options = [
    'assembly/index.ts',
    ...['--outFile', 'kernels.wasm', '--runtime', 'stub', '-O3', '--noAssert'],
    ...features.flatMap((feature) => ['--enable', feature]),
    ...['--importMemory', '--initialMemory', '1', '--maximumMemory', String(maximum)],
    ...['--memoryBase', '4096'],
    ...(shared ? ['--sharedMemory'] : []),
  ];
  let bytes;
  const { error, stderr } = await asc.main(options, {
    readFile: undefined,
    writeFile: (name, contents) => {
      if (name.endsWith('.wasm')) bytes = contents;
    },
  });
  if (error) throw new Error(`asc failed: ${error.message}\n${stderr}`);
  return bytes;
}

/** The one byte in which a module with a shared memory differs from one without. */
function sharedFlag(shared, unshared) {
  const differing = [...shared.keys()].filter((i) => shared[i] !== unshared[i]);
  if (shared.length !== unshared.length || differing.length !== 1)
    throw new Error(
      `the two builds differ in ${differing.length} bytes, not in the memory's flag alone`,
    );
  return differing[0];
}

process.chdir(folder);
const lines = ['// Written by scripts/build-kernels.mjs from assembly/. Do not edit.'];
for (const relaxed of [false, true]) {
  const shared = await compile({ relaxed, shared: true });
  const flag = sharedFlag(shared, await compile({ relaxed, shared: false }));
  const name = relaxed ? 'RELAXED' : 'PLAIN';
  const text = Buffer.from(shared).toString('base64');
  lines.push(`export const ${name} = { sharedFlag: ${flag}, base64: '${text}' };`);
  console.log(`${name.toLowerCase()}: ${shared.length} bytes`);
}
await mkdir('src/generated', { recursive: true });
await writeFile('src/generated/kernels.ts', `${lines.join('\n')}\n`);
