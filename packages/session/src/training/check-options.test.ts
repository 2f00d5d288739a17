import { expect, test } from 'vitest';
import type { TrainingOptions } from '../options/training-options.js';
import { checkOptions } from './check-options.js';

/** Only what the checks read. */
const plain = {
  shuffle: true,
  earlyStoppingPatience: 0,
  evalSteps: 0,
  useDora: false,
  baseOffload: false,
} as TrainingOptions;

test('frozen blocks are not offloaded under DoRA or whole modules, which read them out of turn', () => {
  expect(() => checkOptions({ ...plain, baseOffload: true })).not.toThrow();
  expect(() => checkOptions({ ...plain, useDora: true })).not.toThrow();
  for (const other of [{ useDora: true }, { modulesToSave: ['lm_head'] }])
    expect(() => checkOptions({ ...plain, baseOffload: true, ...other })).toThrow(
      expect.objectContaining({
        code: 'OPTION_VALUE',
        message: expect.stringContaining('--base-offload does not go with'),
      }),
    );
});
