import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { options, trainHere, withModel } from './support/in-process.js';
import { temporaryFolder } from './support/qlora.js';

/** 2,000 with `npm run test:soak`. */
const STEPS = Number(process.env.QLORAJS_SOAK_STEPS ?? 40);
const SAMPLES = 10;

interface Sample {
  readonly live: number;
  readonly handles: string;
  /** Of the operating system, workers among them; null where it does not tell. */
  readonly threads: string | null;
  readonly resident: number;
}

/** The engine's workers do not keep the process alive, so that no handle shows them. */
function threads(): string | null {
  if (process.platform !== 'linux') return null;
  return /^Threads:\s*(\d+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? null;
}

/** What keeps the process alive, workers among them, by kind and number. */
function handles(): string {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo())
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  counts.delete('Immediate'); // the turn between two micro-batches
  counts.delete('FSReqPromise'); // a line of the log on its way
  return [...counts]
    .sort()
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ');
}

test(`${STEPS} steps of phi-nano with evaluations and checkpoints: bytes, handles and workers stay`, async () => {
  const folder = temporaryFolder();
  const data = join(folder, 'rows.jsonl');
  const row = (i: number) =>
    Array.from({ length: 8 + (i % 5) }, (_, at) => 20 + ((i * 31 + at * 7) % 500));
  const lines = Array.from({ length: 40 }, (_, i) =>
    JSON.stringify({ input_ids: row(i), labels: row(i) }),
  );
  writeFileSync(data, `${lines.join('\n')}\n`);
  const every = Math.floor(STEPS / SAMPLES);
  const samples: Sample[] = [];
  const given = {
    ...{ base: 'phi-nano', data, out: join(folder, 'out'), threads: 2, maxSteps: STEPS, r: 4 },
    ...{ perDeviceTrainBatchSize: 1, evalSplit: 2, evalSteps: every, saveSteps: every },
    ...{ saveTotalLimit: 2, reportTo: 'tensorboard' as const, loadBestModelAtEnd: true },
  } as const;
  await trainHere(options(given), (job) =>
    withModel(job, (call, forwardBackward, ...args) => {
      if (call % every === 0)
        samples.push({
          live: job.backend.memory().live,
          handles: handles(),
          threads: threads(),
          resident: process.memoryUsage.rss(),
        });
      return forwardBackward(...args);
    }),
  );
  console.log(
    samples
      .map(
        ({ live, handles: h, resident, threads: t }) =>
          `${live} B, ${Math.round(resident / 1e6)} MB, ${t} threads, ${h}`,
      )
      .join('\n'),
  );
  expect(samples).toHaveLength(SAMPLES);
  // From the second sample on: the first comes before every buffer has its largest size.
  const [, second, ...later] = samples;
  for (const sample of later) {
    expect(sample.live).toBe(second.live);
    expect(sample.handles).toBe(second.handles);
    expect(sample.threads).toBe(second.threads);
    expect(sample.resident).toBeLessThan(second.resident * 1.2 + 50e6);
  }
  const log = readFileSync(join(folder, 'out', 'train_log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n');
  expect(log).toHaveLength(STEPS);
}, 3_600_000);
