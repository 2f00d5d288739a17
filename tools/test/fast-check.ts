import { configureGlobal } from 'fast-check';

/**
 * Properties draw the same examples on every run, so that a change is to blame for a failure.
 * `FAST_CHECK_SEED=random` (or a number) explores others.
 */
const seed = process.env.FAST_CHECK_SEED ?? '20261124';
if (seed !== 'random') configureGlobal({ seed: Number(seed) });
