import { type AdamW8bitArgs, adamW8bitFactors, checkAdamW8bit } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachRow, REDUCE } from '../../wgsl/flat.js';

/** A workgroup's 256 threads take a block of 256 elements; codes are packed four a word at the end. */
const ADAMW8BIT: KernelSpec<
  'parameter' | 'gradient' | 'codes1' | 'codes2' | 'absmax1' | 'absmax2' | 'codeMaps' | 'scale',
  'rows' | 'size' | 'beta1' | 'rest1' | 'beta2' | 'rest2' | 'stepSize' | 'epsilon' | 'keep'
> = {
  key: 'adamw8bit',
  bindings: {
    parameter: write(),
    gradient: read(),
    codes1: write('u32'),
    codes2: write('u32'),
    absmax1: write(),
    absmax2: write(),
    codeMaps: read(),
    scale: read(),
  },
  params: {
    rows: 'u32',
    size: 'u32',
    beta1: 'f32',
    rest1: 'f32',
    beta2: 'f32',
    rest2: 'f32',
    stepSize: 'f32',
    epsilon: 'f32',
    keep: 'f32',
  },
  body: eachRow(
    /* wgsl */ `
  let i = row * 256u + local;
  let inside = i < p.size;
  let word = i >> 2u;
  let shift = (i & 3u) * 8u;
  var raw = 0.0;
  var code1 = 127u;
  var code2 = 0u;
  if (inside) {
    raw = gradient[p.gradientAt + i];
    code1 = (codes1[p.codes1At / 4u + word] >> shift) & 255u;
    code2 = (codes2[p.codes2At / 4u + word] >> shift) & 255u;
  }
  let finite = (bitcast<u32>(raw) & 0x7f800000u) != 0x7f800000u;
  let g = raw * scale[p.scaleAt];
  let oldM = codeMaps[p.codeMapsAt + code1] * absmax1[p.absmax1At + row];
  let oldV = codeMaps[p.codeMapsAt + 256u + code2] * absmax2[p.absmax2At + row];
  let m = select(0.0, oldM * p.beta1 + p.rest1 * g, finite && inside);
  let v = select(0.0, oldV * p.beta2 + p.rest2 * g * g, finite && inside);
  let most1 = reduceMax(abs(m), local);
  let most2 = reduceMax(v, local);
  if (local == 0u) {
    absmax1[p.absmax1At + row] = most1;
    absmax2[p.absmax2At + row] = most2;
  }
  code1 = 0u;
  code2 = 0u;
  if (most1 > 0.0) { code1 = nearestCode(0u, m * (1.0 / most1)); }
  if (most2 > 0.0) { code2 = nearestCode(256u, v * (1.0 / most2)); }
  let negative = (bitcast<u32>(m) >> 31u) == 1u;
  if ((codeMaps[p.codeMapsAt + code1] < 0.0) != negative) {
    code1 = select(code1 + 255u, code1 + 1u, m > 0.0) & 255u;
  }
  if (inside && finite) {
    let update = p.stepSize * m / (sqrt(v) + p.epsilon);
    parameter[p.parameterAt + i] = (parameter[p.parameterAt + i] + update) * p.keep;
  }
  packed[local] = code1 | (code2 << 8u);
  workgroupBarrier();
  if (local < 64u && row * 256u + local * 4u < p.size) {
    var one = 0u;
    var two = 0u;
    for (var k = 0u; k < 4u; k++) {
      let both = packed[local * 4u + k];
      one |= (both & 255u) << (8u * k);
      two |= (both >> 8u) << (8u * k);
    }
    codes1[p.codes1At / 4u + row * 64u + local] = one;
    codes2[p.codes2At / 4u + row * 64u + local] = two;
  }`,
    /* wgsl */ `${REDUCE}
var<workgroup> packed: array<u32, 256>;

// bitsandbytes' dQuantize: the nearest entry, a tie to where the search stands.
fn nearestCode(map: u32, x: f32) -> u32 {
  let at = p.codeMapsAt + map;
  var pivot = 127u;
  var lower = 0u;
  var upper = 255u;
  for (var step = 64u; step > 0u; step >>= 1u) {
    if (x > codeMaps[at + pivot]) {
      lower = pivot;
      pivot += step;
    } else {
      upper = pivot;
      pivot -= step;
    }
  }
  let value = codeMaps[at + pivot];
  if (x > value) { return select(pivot, upper, x > (codeMaps[at + upper] + value) * 0.5); }
  return select(pivot, lower, x < (codeMaps[at + lower] + value) * 0.5);
}`,
  ),
};

/** The tensors of codes must begin at whole words: they are not views into the middle of others. */
export function adamw8bit(engine: Engine, args: AdamW8bitArgs): void {
  checkAdamW8bit(args);
  const { parameter, gradient, codes1, codes2, absmax1, absmax2, codeMaps, scale } = args;
  const rows = absmax1.size;
  engine.recorder.dispatch(
    ADAMW8BIT,
    { parameter, gradient, codes1, codes2, absmax1, absmax2, codeMaps, scale },
    { rows, size: parameter.size, ...adamW8bitFactors(args) },
    flatGroups(rows),
  );
}
