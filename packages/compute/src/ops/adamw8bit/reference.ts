import { floats, integers } from '../../reference/storage.js';
import { ADAM8_BLOCK, type AdamW8bitArgs, adamW8bitFactors, checkAdamW8bit } from './op.js';

const f = Math.fround;
/** 1 / absmax of anything smaller would overflow f32. */
const SMALLEST_ABSMAX = f(1e-38);

/** bitsandbytes' `dQuantize`: the nearest entry, a tie to where the search stands. */
function nearestCode(map: ArrayLike<number>, x: number): number {
  let [pivot, lower, upper] = [127, 0, 255];
  for (let step = 64; step > 0; step >>= 1) {
    if (x > map[pivot]) {
      lower = pivot;
      pivot += step;
    } else {
      upper = pivot;
      pivot -= step;
    }
  }
  const value = map[pivot];
  if (x > value) return x > f(f(map[upper] + value) * 0.5) ? upper : pivot;
  return x < f(f(map[lower] + value) * 0.5) ? lower : pivot;
}

/** Rounds a block's moments to codes; returns its scale. */
function quantize(
  moments: readonly number[],
  map: ArrayLike<number>,
  codes: { [i: number]: number },
  start: number,
): number {
  const absmax = moments.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const inverse = f(1 / Math.max(absmax, SMALLEST_ABSMAX));
  for (let i = 0; i < moments.length; i++)
    codes[start + i] = absmax === 0 ? 0 : nearestCode(map, f(moments[i] * inverse));
  return absmax;
}

/** Codes depend on the last bit of a moment, so moments are rounded to f32 here too. */
export function adamw8bit(args: AdamW8bitArgs): void {
  checkAdamW8bit(args);
  const { beta1, rest1, beta2, rest2, stepSize, epsilon, keep } = adamW8bitFactors(args);
  const [p, gradient] = [floats(args.parameter), floats(args.gradient)];
  const [codes1, codes2] = [integers(args.codes1), integers(args.codes2)];
  const [absmax1, absmax2] = [floats(args.absmax1), floats(args.absmax2)];
  const maps = floats(args.codeMaps);
  const [map1, map2] = [maps.subarray(0, 256), maps.subarray(256)];
  const scale = floats(args.scale)[0];
  for (let block = 0; block * ADAM8_BLOCK < p.length; block++) {
    const start = block * ADAM8_BLOCK;
    const length = Math.min(ADAM8_BLOCK, p.length - start);
    const [first, second]: [number[], number[]] = [[], []];
    for (let i = start; i < start + length; i++) {
      const finite = Number.isFinite(gradient[i]);
      const g = f(gradient[i] * scale);
      const m = f(map1[codes1[i]] * absmax1[block]);
      const v = f(map2[codes2[i]] * absmax2[block]);
      first.push(finite ? f(f(m * beta1) + f(rest1 * g)) : 0);
      second.push(finite ? f(f(v * beta2) + f(rest2 * g * g)) : 0);
    }
    absmax1[block] = quantize(first, map1, codes1, start);
    absmax2[block] = quantize(second, map2, codes2, start);
    for (let i = start; i < start + length; i++) {
      const [m, v] = [first[i - start], second[i - start]];
      const negative = m < 0 || Object.is(m, -0);
      if (map1[codes1[i]] < 0 !== negative) codes1[i] += m > 0 ? 1 : -1;
      if (Number.isFinite(gradient[i]))
        p[i] = f(f(p[i] + (stepSize * m) / (Math.sqrt(v) + epsilon)) * f(keep));
    }
  }
}
