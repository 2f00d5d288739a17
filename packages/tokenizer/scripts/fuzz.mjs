// Compares with the Rust tokenizers on many random texts: node scripts/fuzz.mjs [count] [seed] [folder]
// With a folder the texts, ids and offsets are kept there for tools/reference/tokenizer_fuzz.py.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [count = '100000', seed = '1', folder = ''] = process.argv.slice(2);
if (folder !== '') mkdirSync(folder, { recursive: true });
const { status } = spawnSync('npx', ['vitest', 'run', 'packages/tokenizer/test/fuzz.test.ts'], {
  cwd: fileURLToPath(new URL('../../..', import.meta.url)),
  stdio: 'inherit',
  env: {
    ...process.env,
    QLORAJS_FUZZ_COUNT: count,
    QLORAJS_FUZZ_SEED: seed,
    QLORAJS_FUZZ_OUT: folder && resolve(folder),
  },
});
process.exitCode = status ?? 1;
