"""Runs bitsandbytes' AdamW8bit (its CPU backend) and @qlorajs/paged-optim side by side.

    pnpm build
    python -m venv .venv && .venv/bin/pip install torch bitsandbytes numpy
    .venv/bin/python tools/reference/adam8_check.py

Parameters and scales are compared with bitsandbytes, each step from its state. Its CPU library looks codes
up in a table of 65,536 entries, which is too coarse for small second moments, and has no sign fix-up; so
codes are compared with the nearest entry of bitsandbytes' own maps, and with the CUDA kernels' rule that a
first moment keeps its sign. Exits with 1 when anything differs.
"""

import json
import subprocess
import sys
from pathlib import Path

import bitsandbytes as bnb
import torch

ROOT = Path(__file__).parents[2]
SIZE, STEPS = 4096 + 256 + 77, 20
RATES = {"learningRate": 3e-3, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weightDecay": 0.0}

NODE = """
import { readFileSync } from 'node:fs';
import { adamw8bitStep } from './dist/index.js';

const steps = JSON.parse(readFileSync(0, 'utf8')).map(({ parameter, gradient, state, ...rest }) => {
  const args = {
    parameter: Float32Array.from(parameter),
    gradient: Float32Array.from(gradient),
    state: {
      kind: '8bit',
      codes1: Uint8Array.from(state.codes1),
      codes2: Uint8Array.from(state.codes2),
      absmax1: Float32Array.from(state.absmax1),
      absmax2: Float32Array.from(state.absmax2),
    },
    ...rest,
  };
  adamw8bitStep(args);
  const plain = (values) => Array.from(values);
  const after = Object.entries(args.state).slice(1).map(([name, values]) => [name, plain(values)]);
  return { parameter: plain(args.parameter), ...Object.fromEntries(after) };
});
console.log(JSON.stringify(steps));
"""


def gradients():
    """Blocks of zeros, many magnitudes, signs that change from step to step."""
    generator = torch.Generator().manual_seed(4)
    for _ in range(STEPS):
        gradient = torch.randn(SIZE, generator=generator)
        gradient *= 10.0 ** torch.randint(-4, 1, (SIZE,), generator=generator)
        gradient[512:768] = 0
        gradient[1024:1300:2] = 0
        yield gradient


def snapshot(optimizer, parameter):
    state = optimizer.state[parameter]
    if not state:
        blocks = -(-SIZE // 256)
        return {"codes1": [0] * SIZE, "codes2": [0] * SIZE, "absmax1": [0.0] * blocks, "absmax2": [0.0] * blocks}
    names = {"codes1": "state1", "codes2": "state2", "absmax1": "absmax1", "absmax2": "absmax2"}
    return {name: state[key].tolist() for name, key in names.items()}


def run():
    torch.manual_seed(3)
    parameter = torch.nn.Parameter(torch.randn(SIZE) * 0.05)
    optimizer = bnb.optim.AdamW8bit(
        [parameter],
        lr=RATES["learningRate"],
        betas=(RATES["beta1"], RATES["beta2"]),
        eps=RATES["epsilon"],
        weight_decay=RATES["weightDecay"],
    )
    tasks, expected = [], []
    for step, gradient in enumerate(gradients(), 1):
        before = {"parameter": parameter.tolist(), "state": snapshot(optimizer, parameter)}
        tasks.append({**before, "gradient": gradient.tolist(), "step": step, **RATES})
        parameter.grad = gradient
        optimizer.step()
        expected.append({"parameter": parameter.tolist(), **snapshot(optimizer, parameter)})
    command = ["node", "--input-type=module", "-e", NODE]
    output = subprocess.run(
        command, input=json.dumps(tasks), text=True, check=True, capture_output=True, cwd=ROOT / "packages/paged-optim"
    ).stdout
    return tasks, json.loads(output), expected


def nearest(values, absmax, code_map):
    """The nearest code of every value, the lower one at a midpoint."""
    scale = absmax.repeat_interleave(256)[:SIZE]
    middles = (code_map[1:] + code_map[:-1]) / 2
    return torch.bucketize(values / scale.clamp(min=1e-38), middles)


def expected_codes(task):
    """Codes of the moments that follow from a state, with the sign fix-up of the CUDA kernels."""
    maps = [bnb.functional.create_dynamic_map(signed=signed) for signed in (True, False)]
    state = {name: torch.tensor(values) for name, values in task["state"].items()}
    gradient = torch.tensor(task["gradient"])
    betas = [torch.tensor(RATES[name], dtype=torch.float32) for name in ("beta1", "beta2")]
    powers = [gradient, gradient * gradient]
    codes = []
    for i, (code_map, beta, power) in enumerate(zip(maps, betas, powers), 1):
        scale = state[f"absmax{i}"].repeat_interleave(256)[:SIZE]
        moment = code_map[state[f"codes{i}"].long()] * scale * beta + (1 - beta) * power
        absmax = torch.stack([block.abs().max() for block in moment.split(256)])
        code = nearest(moment, absmax, code_map)
        if i == 1:
            lost = torch.signbit(code_map[code]) != torch.signbit(moment)
            code[lost] += torch.where(moment[lost] > 0, 1, -1)
        codes.append((code, absmax.repeat_interleave(256)[:SIZE] == 0, int(lost.sum())))
    return codes


def main():
    print(f"torch {torch.__version__}, bitsandbytes {bnb.__version__}, {SIZE} elements, {STEPS} steps")
    tasks, ours, theirs = run()
    worst = {"parameter": 0.0, "absmax1": 0.0, "absmax2": 0.0}
    differing, signs, like_cpu = 0, 0, 0
    for task, mine, reference in zip(tasks, ours, theirs):
        for name in worst:
            pairs = zip(mine[name], reference[name])
            worst[name] = max(worst[name], max(abs(a - b) for a, b in pairs))
        for name, (codes, zero_block, lost) in zip(("codes1", "codes2"), expected_codes(task)):
            actual = torch.tensor(mine[name])
            differing += int(((actual != codes) & ~zero_block).sum())
            like_cpu += int((actual == torch.tensor(reference[name])).sum())
            signs += lost if name == "codes1" else 0
    print(f"largest difference from bitsandbytes: {worst}")
    print(f"codes that differ from the nearest: {differing} of {2 * SIZE * STEPS}; signs kept: {signs}")
    print(f"codes equal to those of bitsandbytes' CPU library: {like_cpu}")
    sys.exit(0 if differing == 0 and max(worst.values()) < 1e-6 else 1)


if __name__ == "__main__":
    main()
