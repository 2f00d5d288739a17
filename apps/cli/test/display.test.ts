import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import type { StepEvent } from '@qlorajs/trainer';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { createProgress } from '../src/report/progress.js';
import { lastingRun } from '../src/training/lasting-run.js';
import { prepareTraining } from '../src/training/prepare.js';
import { TrainDisplay } from '../src/training/train-display.js';
import { tinyBase, writeTokenRows } from './support/bases.js';
import { options, recordingUi } from './support/in-process.js';
import { temporaryFolder } from './support/qlora.js';

/** A terminal that keeps what is drawn on it. */
function terminal(rows = 40) {
  const frames: string[] = [];
  const stream = new Writable({
    write(chunk, _, done) {
      const line = stripVTControlCharacters(String(chunk)).trim();
      if (line !== '') frames.push(line);
      done();
    },
  });
  Object.assign(stream, { isTTY: true, columns: 120, rows });
  return { frames, stream: stream as unknown as NodeJS.WriteStream };
}

const event = (step: number, more: Partial<StepEvent> = {}): StepEvent => ({
  ...{ type: 'step', step, totalSteps: 8, epoch: step / 4, loss: 2.34567, gradNorm: 1 },
  ...{ learningRate: 0.0002, tokens: 512, trainedTokens: 300, seconds: 0.5, skipped: false },
  ...{ skippedBatch: null, ...more },
});

let told: string[];
beforeEach(() => {
  told = [];
});

describe('the progress line', () => {
  test('has step, loss, learning rate, tokens a second, memory and the time left', () => {
    const { frames, stream } = terminal();
    const ui = recordingUi(told);
    const display = new TrainDisplay(ui, createProgress(ui, stream), () => 1.234e9);
    display.step(event(2), null);
    expect(frames).toEqual([
      '━━━━────────────  25 %  step 2/8  loss 2.3457  lr 2.00e-4  1024 tokens/s  1.23 GB  0:03 left',
    ]);
    // Drawn again over itself, not oftener than eyes follow; the last step always.
    display.step(event(3), null);
    expect(frames).toHaveLength(1);
    display.step(event(8, { loss: 1.5, learningRate: 0, seconds: 1 }), null);
    expect(frames.at(-1)).toBe(
      '━━━━━━━━━━━━━━━━ 100 %  step 8/8  loss 1.5000  lr 0  512 tokens/s  1.23 GB  0:00 left',
    );
    expect(told).toEqual([]);
  });

  test('the time left follows the mean of the steps so far', () => {
    const { frames, stream } = terminal();
    const ui = recordingUi(told);
    const clock = vi.spyOn(performance, 'now');
    let now = 1000;
    clock.mockImplementation(() => now);
    const display = new TrainDisplay(ui, createProgress(ui, stream), () => 0);
    display.step(event(1, { totalSteps: 100, seconds: 10 }), null);
    now += 1000;
    display.step(event(2, { totalSteps: 100, seconds: 30 }), null);
    clock.mockRestore();
    expect(frames[0]).toContain('16:30 left'); // 99 steps of 10 s
    expect(frames[1]).toContain('32:40 left'); // 98 steps of 20 s
  });

  test('steps aside for a line, and is gone at the end', () => {
    const { frames, stream } = terminal();
    const ui = recordingUi(told);
    const progress = createProgress(ui, stream);
    progress.show('under way', 1);
    expect(frames.at(-1)).toContain('under way');
    expect(ui.beforeLine).not.toBeNull();
    const drawn: string[] = [];
    vi.spyOn(stream, 'write').mockImplementation((chunk) => drawn.push(String(chunk)) > 0);
    ui.beforeLine?.();
    expect(drawn.join('')).toContain('\x1b[2K'); // the line is erased
    drawn.length = 0;
    ui.beforeLine?.();
    expect(drawn).toEqual([]);
  });

  test.each([
    ['no terminal', { isTTY: false }, false],
    ['a terminal without rows', { rows: 0 }, false],
    ['--quiet', {}, true],
  ])('%s: plain lines of logged steps instead, or none', (_, properties, quiet) => {
    const { frames, stream } = terminal();
    Object.assign(stream, properties);
    const ui = { ...recordingUi(told), quiet };
    const display = new TrainDisplay(ui, createProgress(ui, stream), () => 5e6);
    display.step(event(4), null);
    display.step(event(5), {} as never);
    expect(frames).toEqual([]);
    // What --quiet silences is `info` itself.
    expect(told).toEqual(['step 5/8  loss 2.3457  lr 2.00e-4  1024 tokens/s  5.00 MB  0:02 left']);
  });
});

test('a run draws what its log says', async () => {
  const folder = temporaryFolder();
  const { frames, stream } = terminal();
  const ui = recordingUi(told);
  const progress = createProgress(ui, stream);
  const { signal } = new AbortController();
  const given = options({
    ...{ base: tinyBase, data: writeTokenRows(join(folder, 'rows.jsonl')), maxSteps: 3 },
    ...{ out: join(folder, 'out'), backend: 'wasm', learningRate: 0.01 },
  });
  const job = await prepareTraining(given, ui, progress, signal);
  const run = await lastingRun(job, { ui, progress, signal });
  const log = readFileSync(join(folder, 'out/train_log.jsonl'), 'utf8').trimEnd().split('\n');
  const last = JSON.parse(log[2]);
  const peak = run.job.backend.memory().peak;
  await run.job.close();
  const line = frames.findLast((frame) => frame.includes('step '))!;
  expect(line).toMatch(/^━{16} 100 % {2}step 3\/3 {2}loss [\d.]+ {2}lr \S+ {2}\d+ tokens\/s {2}/);
  expect(line).toContain(`loss ${last.loss.toFixed(4)}`);
  expect(line).toContain(`lr ${Number(last.learning_rate.toPrecision(4))}`);
  expect(line).toContain(`${last.tokens_per_second.toFixed(0)} tokens/s`);
  expect(line).toContain(`${(peak / 1e6).toFixed(2)} MB`);
  expect(line).toContain('0:00 left');
  expect(told.some((each) => each.startsWith('step 1/'))).toBe(false);
});
