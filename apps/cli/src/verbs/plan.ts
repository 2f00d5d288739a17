import {
  addedIds,
  adviceOf,
  checkOptions,
  formatBytes,
  formatDuration,
  loraConfig,
  type MemoryPlan,
  maxSeqLength,
  measureRate,
  optional,
  planTraining,
  STORED_RATES,
  secondsOf,
  text,
  trainingOptions,
} from '@qlorajs/session';
import { openBackend } from '../io/backend.js';
import { openBase } from '../io/base-folder.js';
import { deviceMemory } from '../io/graphics-memory.js';
import type { Ui } from '../report/ui.js';
import { prepareData } from '../training/data.js';
import { verb } from './verb.js';

function show(plan: MemoryPlan, seconds: number, ui: Ui): void {
  const rows = Object.entries(plan.parts).map(
    ([part, bytes]) => `${formatBytes(bytes).padStart(10)}  ${part}`,
  );
  const { budgetBytes, fits } = plan;
  const verdict =
    budgetBytes === null
      ? ''
      : ` of ${formatBytes(budgetBytes)}: ${fits ? 'fits' : 'does not fit'}`;
  ui.print(
    [
      ...rows,
      `${formatBytes(plan.peakBytes).padStart(10)}  peak${verdict}`,
      `about ${formatDuration(seconds)} for ${plan.steps} steps`,
      ...adviceOf(plan).map((each) => (budgetBytes === null ? each : `to make it fit: ${each}`)),
      '',
    ].join('\n'),
  );
}

export const plan = verb({
  name: 'plan',
  summary: 'memory and time of a training run, before anything is loaded',
  options: {
    ...trainingOptions,
    data: optional(text('FILE'), 'JSONL to learn from; without, rows of --max-seq-length'),
    out: optional(text('DIR'), 'not used: the flags of train are taken as they are'),
  },
  async run(given, ui) {
    const options = { ...given, data: given.data ?? '', out: given.out ?? '' };
    checkOptions(options);
    const base = await openBase(options.base, { ui, weights: false });
    const data = given.data === undefined ? null : await prepareData(options, base, ui);
    const lora = loraConfig(options, base, data ? addedIds(data) : [], ui);
    const backend = await openBackend(options, ui);
    try {
      const length = maxSeqLength(options.maxSeqLength, base);
      const { config } = base;
      const planned = await planTraining({
        ...{ options, config, lora, backend, data, length },
        deviceMemory: await deviceMemory(backend),
      });
      const rate =
        backend.name === 'reference' ? STORED_RATES.wasm : await measureRate(backend, config);
      const seconds = secondsOf(planned, rate);
      show(planned, seconds, ui);
      ui.result({
        // null: nobody knows what there is.
        fits: planned.budgetBytes === null ? null : planned.fits,
        peak_bytes: planned.peakBytes,
        budget_bytes: planned.budgetBytes,
        parts: planned.parts,
        seconds,
        seconds_per_step: seconds / planned.steps,
        steps: planned.steps,
        advice: adviceOf(planned),
      });
      return 0;
    } finally {
      await backend.dispose();
    }
  },
});
