import { ADAM8_BLOCK, adamW8bitFactors, checkAdamW8bit, type Ops } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { kernel } from '../kernel.js';
import { storeBytes } from './bytes.js';
import { readByte } from './weight.js';

/** A moment before it is rounded to a code; 0 where the gradient is not finite. */
const MOMENT = kernel(
  'moment8bit',
  ['codes', 'map', 'absmax', 'gradient', 'scale'],
  ['mapStart', 'beta', 'rest', 'squared'],
  `${readByte('codes', 'this.thread.x')}
  const block = divide(this.thread.x, ${ADAM8_BLOCK});
  const raw = gradient[gradientAt + this.thread.x];
  const g = Math.fround(raw * scale[scaleAt]);
  const old = Math.fround(map[mapAt + mapStart + byte] * absmax[absmaxAt + block]);
  let term = rest * g;
  if (squared > 0) { term = term * g; }
  let value = 0;
  if (Math.abs(raw) < 340000000000000000000000000000000000000.5) {
    value = Math.fround(Math.fround(old * beta) + Math.fround(term));
  }
  return value;`,
);

const ABSMAX = kernel(
  'momentAbsmax',
  ['moment'],
  ['size'],
  `
  const first = this.thread.x * ${ADAM8_BLOCK};
  let largest = 0;
  for (let i = 0; i < ${ADAM8_BLOCK}; i++) {
    if (first + i < size) { largest = Math.max(largest, Math.abs(moment[momentAt + first + i])); }
  }
  return largest;`,
);

const INVERSE = kernel(
  'momentInverse',
  ['absmax'],
  ['smallest'],
  'return 1 / Math.max(absmax[absmaxAt + this.thread.x], smallest);',
);

/** bitsandbytes' `dQuantize`: a binary search, a tie to where it stands; a signed code keeps its sign. */
const CODES = kernel(
  'momentCodes',
  ['moment', 'map', 'absmax', 'inverse'],
  ['mapStart', 'signed'],
  `
  const block = divide(this.thread.x, ${ADAM8_BLOCK});
  const m = moment[momentAt + this.thread.x];
  const x = Math.fround(m * inverse[inverseAt + block]);
  const start = mapAt + mapStart;
  let pivot = 127;
  let lower = 0;
  let upper = 255;
  let step = 64;
  for (let i = 0; i < 7; i++) {
    if (x > map[start + pivot]) {
      lower = pivot;
      pivot = pivot + step;
    } else {
      upper = pivot;
      pivot = pivot - step;
    }
    step = Math.floor(step * 0.5);
  }
  const value = map[start + pivot];
  let code = pivot;
  if (x > value) {
    if (x > Math.fround(Math.fround(map[start + upper] + value) * 0.5)) { code = upper; }
  } else {
    if (x < Math.fround(Math.fround(map[start + lower] + value) * 0.5)) { code = lower; }
  }
  if (absmax[absmaxAt + block] === 0) { code = 0; }
  if (signed > 0) {
    const entry = map[start + code];
    if (entry < 0 && m >= 0) {
      if (m > 0) { code = code + 1; } else { code = code - 1; }
    } else {
      if (entry >= 0 && m < 0) { code = code - 1; }
    }
  }
  if (code < 0) { code = code + 256; }
  return code;`,
);

const UPDATE = kernel(
  'adamw8bitUpdate',
  ['parameter', 'gradient', 'm', 'v'],
  ['stepSize', 'epsilon', 'keep'],
  `
  const old = parameter[parameterAt + this.thread.x];
  const raw = gradient[gradientAt + this.thread.x];
  let value = old;
  if (Math.abs(raw) < 340000000000000000000000000000000000000.5) {
    const change = stepSize * m[mAt + this.thread.x] / (Math.sqrt(v[vAt + this.thread.x]) + epsilon);
    value = Math.fround(old + change) * keep;
  }
  return value;`,
);

/** bitsandbytes' clamp; a GPU has no numbers below f32's smallest normal one. */
const SMALLEST = { arrays: Math.fround(1e-38), textures: 2 ** -126 };

export function adamw8bitOps(engine: Engine): Pick<Ops, 'adamw8bit'> {
  return {
    adamw8bit(args) {
      checkAdamW8bit(args);
      const { parameter, gradient, codes1, codes2, absmax1, absmax2, codeMaps, scale } = args;
      const { beta1, rest1, beta2, rest2, stepSize, epsilon, keep } = adamW8bitFactors(args);
      const { size } = parameter;
      const smallest = engine.device.textures ? SMALLEST.textures : SMALLEST.arrays;
      const moments = [
        { codes: codes1, absmax: absmax1, map: 0, numbers: [beta1, rest1, 0], signed: 1 },
        { codes: codes2, absmax: absmax2, map: 256, numbers: [beta2, rest2, 1], signed: 0 },
      ];
      const [first, second] = moments.map(({ codes, absmax, map, numbers, signed }) => {
        const operands = [codes, codeMaps, absmax, gradient, scale];
        const moment = engine.run(MOMENT, operands, [map, ...numbers], size);
        engine.store(absmax, engine.run(ABSMAX, [moment], [size], absmax.size));
        const inverse = engine.run(INVERSE, [absmax], [smallest], absmax.size);
        const all = [moment, codeMaps, absmax, inverse];
        storeBytes(engine, codes, engine.run(CODES, all, [map, signed], size));
        engine.drop(inverse);
        return moment;
      });
      const operands = [parameter, gradient, first, second];
      const numbers = [stepSize, epsilon, Math.fround(keep)];
      engine.store(parameter, engine.run(UPDATE, operands, numbers, size));
      engine.drop(first, second);
    },
  };
}
