import { checkDequantizeNf4, type DequantizeNf4Args } from '@qlorajs/compute';
import { type KernelSpec, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';
import { weightParams, weightReader, weightTensors } from '../../wgsl/weight.js';

const kernels = new Memo<KernelSpec>();

export function dequantizeNf4(engine: Engine, args: DequantizeNf4Args): void {
  checkDequantizeNf4(args);
  const { weight, out } = args;
  const reader = weightReader(weight);
  const kernel = kernels.get(reader.key, () => ({
    key: `dequantize ${reader.key}`,
    bindings: { ...reader.bindings, out: write() },
    params: { ...reader.params, size: 'u32' },
    body: eachElement('  out[p.outAt + i] = weightAt(i);', reader.declarations),
  }));
  const tensors = { ...weightTensors(weight), out };
  const params = { ...weightParams(weight), size: out.size };
  engine.recorder.dispatch(kernel, tensors, params, flatGroups(Math.ceil(out.size / WIDTH)));
}
