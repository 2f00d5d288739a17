import {
  type Dirent,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
} from 'node:fs';
import { join } from 'node:path';
import { counterKey, counterUniform } from '@qlorajs/compute';
import { bytesSource, openSafetensors } from '@qlorajs/safetensors';
import { beforeAll, describe, expect, test } from 'vitest';
import { tinyBase, writeTokenRows } from './support/bases.js';
import { qlora, start, temporaryFolder } from './support/qlora.js';

/** 200 with `npm run test:faults`. */
const KILLS = Number(process.env.QLORAJS_KILLS ?? 8);
const STEPS = 12;

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const rows = writeTokenRows(at('rows.jsonl'));
const settings = [
  ...['train', '--base', tinyBase, '--data', rows, '--per-device-train-batch-size', '2'],
  ...['--learning-rate', '0.01', '--threads', '1', '--resume-from-checkpoint', 'auto'],
];
const run = [...settings, '--max-steps', String(STEPS), '--save-steps', '1'];
const adapterOf = (out: string) => readFileSync(join(out, 'adapter_model.safetensors'));
const random = counterKey(20261125, 1);

/** Every file of every checkpoint is whole. @returns the newest step */
async function checkWhole(out: string): Promise<number> {
  const checkpoints = (readdirSync(out, { withFileTypes: true }) as Dirent[])
    .map(({ name }) => name)
    .filter((name) => /^checkpoint-\d+$/.test(name));
  for (const name of checkpoints) {
    const path = (file: string) => join(out, name, file);
    for (const file of [
      'adapter_config.json',
      'trainer_state.json',
      'run_state.json',
      'training_args.json',
    ])
      JSON.parse(readFileSync(path(file), 'utf8'));
    for (const file of ['adapter_model.safetensors', 'optimizer.safetensors'])
      await openSafetensors(bytesSource(new Uint8Array(readFileSync(path(file))), file));
    const state = JSON.parse(readFileSync(path('run_state.json'), 'utf8'));
    expect(name).toBe(`checkpoint-${state.loop.step}`);
  }
  return Math.max(0, ...checkpoints.map((name) => Number(name.slice('checkpoint-'.length))));
}

/** Kills a child after a time, or when it starts to save after that time. */
function killLater(
  child: { kill(signal: 'SIGKILL'): boolean },
  out: string,
  ms: number,
  onSave: boolean,
) {
  let watcher: ReturnType<typeof watch> | null = null;
  const timer = setTimeout(() => {
    if (!onSave) return void child.kill('SIGKILL');
    mkdirSync(out, { recursive: true });
    watcher = watch(out, (_, name) => {
      if (name?.startsWith('.checkpoint-')) child.kill('SIGKILL');
    });
  }, ms);
  return () => {
    clearTimeout(timer);
    watcher?.close();
  };
}

describe(`SIGKILL at ${KILLS} random moments of training and of saving`, () => {
  const whole = at('whole');
  let seconds = 0;
  beforeAll(async () => {
    const began = performance.now();
    expect((await qlora(...run, '--out', whole)).code).toBe(0);
    seconds = (performance.now() - began) / 1000;
  });

  test('every resume succeeds and ends with the same bytes', async () => {
    const out = at('killed');
    let [kills, killedSaving, completed, fromCheckpoint] = [0, 0, 0, 0];
    for (let turn = 0; kills < KILLS; turn++) {
      const before = existsSync(out) ? await checkWhole(out) : 0;
      const running = start([...run, '--out', out]);
      const onSave = turn % 2 === 1;
      const ms = counterUniform(random, turn) * seconds * 1000;
      const stop = killLater(running.child, out, ms, onSave);
      const { code, signal, stderr } = await running.ended;
      stop();
      if (before > 0 && stderr.includes(`going on after step ${before}`)) fromCheckpoint++;
      if (signal === 'SIGKILL') {
        kills++;
        const left = existsSync(out) ? readdirSync(out) : [];
        if (left.some((name) => name.startsWith('.checkpoint-'))) killedSaving++;
        expect(
          left.includes('adapter_config.json') && !left.includes('adapter_model.safetensors'),
        ).toBe(false);
        if (existsSync(out)) expect(await checkWhole(out)).toBeGreaterThanOrEqual(before);
        continue;
      }
      // Not killed in time: it must have ended well.
      expect(stderr).not.toContain('error');
      expect(code).toBe(0);
      expect(adapterOf(out)).toEqual(adapterOf(whole));
      completed++;
      rmSync(out, { recursive: true });
    }
    // The last one may go to its end.
    expect((await qlora(...run, '--out', out, '--overwrite')).code).toBe(0);
    expect(adapterOf(out)).toEqual(adapterOf(whole));
    expect(readdirSync(out).filter((name) => name.startsWith('.'))).toEqual([]);
    console.log(
      `${kills} kills, ${killedSaving} of them with a checkpoint half-written, ${fromCheckpoint} resumes from a checkpoint, ${completed} runs that ended before their kill`,
    );
  }, 3_600_000);
});

test('a second run into the same folder is refused; a lock whose process died is taken over', async () => {
  const out = at('locked');
  const endless = [...settings, '--out', out, '--max-steps', '1000000', '--save-steps', '50'];
  const first = start(endless);
  await new Promise<void>((resolve) => {
    first.child.stderr?.on('data', (text: string) => text.includes('step 3/') && resolve());
  });
  const second = await qlora(...endless);
  expect(second.stderr).toContain('OUTPUT_LOCKED');
  expect(second.stderr).toContain(`process ${first.child.pid}`);
  expect(second.code).toBe(2);
  first.child.kill('SIGKILL');
  await first.ended;
  expect(existsSync(join(out, '.qlora.lock'))).toBe(true);
  const third = await qlora(...run, '--out', out, '--overwrite');
  expect(third.stderr).not.toContain('OUTPUT_LOCKED');
  expect(third.code).toBe(0);
  expect(existsSync(join(out, '.qlora.lock'))).toBe(false);
});
