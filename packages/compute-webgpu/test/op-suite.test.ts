import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import {
  checkCase,
  compareValues,
  HALF_OP_TOLERANCES,
  OP_TOLERANCES,
  type OpCase,
  opCases,
} from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { findGpu, reachableTiers } from './find-gpu.js';

const { gpu, reason } = await findGpu();
const skipped = reason ? `: skipped, ${reason}` : '';

/**
 * SwiftShader takes seconds to compile a kernel: of those with many variants it runs some, unless
 * `QLORAJS_SLOW=1`. The model's tests run others.
 */
const LEFT_OUT =
  /^attentionBackward, (one token|longer than a tile|packed|odd)|^matmul (TT|.*beta 0$)|^linearBackward .* to \d+$|^linear and linearBackward (nf4|f16|f32) of rows|^linear (f32|f16|nf4) 8x128|^linearBackward (f32|f16|nf4) 1x67/;
const isSlow = process.env.QLORAJS_GPU !== 'hardware' && process.env.QLORAJS_SLOW !== '1';

/** As `checkCase`, with the tolerances of f16 operands; gives the outputs that are off. */
async function checkHalfCase(backend: Backend, each: OpCase): Promise<string[]> {
  const expected = await each.run(createReferenceBackend());
  const actual = await each.run(backend);
  const limit = HALF_OP_TOLERANCES[each.op];
  return Object.keys(expected).filter(
    (name) => compareValues(actual[name], expected[name], limit).length > 0,
  );
}

const tiers = await reachableTiers(gpu);

describe.skipIf(!gpu).each(tiers)(`operations on WebGPU, tier %s${skipped}`, async (tier) => {
  if (!gpu) return;
  const backend = await createWebGpuBackend({ gpu, tier });
  afterAll(() => backend.dispose());
  const check = tier === 'f32' ? checkCase : checkHalfCase;

  for (const each of opCases())
    test.skipIf(isSlow && LEFT_OUT.test(each.name))(each.name, async () => {
      expect(await check(backend, each)).toEqual([]);
    });

  test('the cases leave nothing behind but the scratch', () => {
    expect(backend.memory().live).toBeLessThanOrEqual(2 ** 20);
  });
});

test('the tolerances of f16 loosen products alone', () => {
  const loosened = Object.keys(OP_TOLERANCES).filter(
    (op) =>
      HALF_OP_TOLERANCES[op as keyof typeof OP_TOLERANCES] !==
      OP_TOLERANCES[op as keyof typeof OP_TOLERANCES],
  );
  expect(loosened).toEqual(['linear', 'linearBackward', 'attention', 'attentionBackward']);
});
