// npm run bench:cpu -- [--parts gemm,step,decode,decode-large] [--rounds 5] [--threads 2] [--only NAMES] [--quick] [--profile] [--out FILE]
// Our CPU engine against PyTorch on the same cores, each in its own process, asked in turn.
// Python: QLORAJS_PYTHON, or bench/peers/.venv (bench/peers/install.sh makes it); without one only ours is measured.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bundleEngine } from './bundle.mjs';
import { measurePart } from './measure-part.mjs';
import { parts } from './parts.mjs';
import { report, summarize } from './report.mjs';
import { variants } from './variants.mjs';

const { values: flags } = parseArgs({
  options: {
    parts: { type: 'string', default: 'gemm,step,decode,decode-large' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const bench = fileURLToPath(new URL('..', import.meta.url));
const threads = Number(flags.threads);
const rounds = flags.quick ? 2 : Number(flags.rounds);

function findPython() {
  const folder = process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python';
  const python = process.env.QLORAJS_PYTHON ?? join(bench, 'peers/.venv', folder);
  if (existsSync(python)) return python;
  console.error(
    `no Python at ${python}: run bench/peers/install.sh or set QLORAJS_PYTHON; measuring ours alone`,
  );
  return null;
}

const python = findPython();
const names = flags.only?.split(',');
await bundleEngine(join(bench, '.build/engine.mjs'));
const taking = variants({ threads, python }).filter(({ name }) => names?.includes(name) ?? true);
const machine = { cpu: os.cpus()[0].model, cores: os.cpus().length, memory: os.totalmem() };
const date = new Date().toISOString();
const measured = {};
console.log(`${machine.cpu}, ${machine.cores} cores, ${threads} threads, ${date}\n`);
for (const part of parts({ quick: flags.quick, python })) {
  if (!flags.parts.split(',').includes(part.name)) continue;
  const { profile } = flags;
  measured[part.name] = summarize(await measurePart(part, taking, { threads, rounds, profile }));
  if (!flags.out) continue;
  // After every part: what was measured stays when a later part is interrupted.
  const result = { date, machine, threads, rounds, parts: measured };
  await mkdir(dirname(flags.out), { recursive: true });
  await writeFile(flags.out, `${JSON.stringify(result, null, 1)}\n`);
}
console.log(report(measured));
