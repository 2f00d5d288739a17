// Compiles assembly/ once for every tile of the products, in plain and in relaxed SIMD, and writes the
// bytes into src/generated/kernels.ts.
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const folder = fileURLToPath(new URL('..', import.meta.url));

/** The first of each arithmetic is taken unless another is faster; see src/engine/choose-build.ts. */
const BUILDS = [
  { relaxed: false, rows: 4, columns: 8 },
  { relaxed: false, rows: 5, columns: 8 },
  { relaxed: true, rows: 6, columns: 8 },
  { relaxed: true, rows: 6, columns: 16 },
];

async function compile({ relaxed, rows, columns, shared }) {
  const features = ['simd', 'threads', ...(relaxed ? ['relaxed-simd'] : [])];
  const maximum = 65535;
  const options = [
    'assembly/index.ts',
    ...['--outFile', 'kernels.wasm', '--runtime', 'stub', '-O3', '--noAssert'],
    ...features.flatMap((feature) => ['--enable', feature]),
    ...['--importMemory', '--initialMemory', '1', '--maximumMemory', String(maximum)],
    ...['--memoryBase', '4096'],
    ...['--use', `PRODUCT_ROWS=${rows}`, '--use', `PRODUCT_COLUMNS=${columns}`],
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
const lines = [
  '// Written by scripts/build-kernels.mjs from assembly/. Do not edit.',
  'export const BUILDS = [',
];
for (const build of BUILDS) {
  const shared = await compile({ ...build, shared: true });
  const flag = sharedFlag(shared, await compile({ ...build, shared: false }));
  const text = Buffer.from(shared).toString('base64');
  const { relaxed, rows, columns } = build;
  const tile = `${rows}x${columns}`;
  lines.push(`  { relaxed: ${relaxed}, tile: '${tile}', sharedFlag: ${flag}, base64: '${text}' },`);
  console.log(`${relaxed ? 'relaxed' : 'plain'} ${tile}: ${shared.length} bytes`);
}
lines.push('] as const;');
await mkdir('src/generated', { recursive: true });
await writeFile('src/generated/kernels.ts', `${lines.join('\n')}\n`);
