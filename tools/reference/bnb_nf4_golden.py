"""Golden vectors of bitsandbytes' NF4, made with bitsandbytes itself on the CPU.

    python tools/reference/bnb_nf4_golden.py write packages/quant-nf4/fixtures/bitsandbytes-cpu.json
    python tools/reference/bnb_nf4_golden.py compare packages/quant-nf4/fixtures

`write` makes the fixture that test/golden.test.ts reads. `compare` quantizes the weights of the
w*.* vectors again and prints every difference. Needs torch, bitsandbytes and transformers.

bitsandbytes' "default" kernels (torch code, the same results as CUDA) are the reference. Its native
CPU library, 0.50.2, departs from them in two places, which `write` and `compare` count:

- quantize_blockwise rounds through a table of 65536 steps, which moves some scale codes by one;
- dequantize_4bit (AVX-512) takes scales from wrong blocks when the last dimension of the shape is
  not a multiple of the block size.
"""

import argparse
import base64
import json
import os
from pathlib import Path

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # the default kernels as written, not compiled

import bitsandbytes
import bitsandbytes.functional as F
import numpy as np
import torch
import transformers

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DEFAULT = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)


def quantize_blockwise_default(values, code, blocksize):
    op = torch.ops.bitsandbytes.quantize_blockwise.default
    return op.redispatch(DEFAULT, values, code, blocksize)


def dequantize_default(packed, state, dtype=None):
    """dequantize_4bit by the default kernel, to the weight's own dtype or another."""
    absmax = state.absmax
    if state.nested:
        absmax = F.dequantize_blockwise(absmax, state.state2) + state.offset
    op = torch.ops.bitsandbytes.dequantize_4bit.default
    arguments = (absmax, state.blocksize, state.quant_type, list(state.shape), dtype or state.dtype)
    return op.redispatch(DEFAULT, packed, *arguments).reshape(state.shape)


def native_differences(packed, state, values):
    """How many values the native CPU kernel dequantizes otherwise."""
    return int((F.dequantize_4bit(packed, state).reshape(state.shape) != values).sum())


def quantize(weight, blocksize, double):
    """quantize_4bit; with double quantization its scales come from the default kernel.

    Returns packed codes, quant state, and how many scale codes the native kernel rounds otherwise.
    """
    packed, state = F.quantize_4bit(
        weight, blocksize=blocksize, compress_statistics=double, quant_type="nf4"
    )
    if not double:
        return packed, state, 0
    _, plain = F.quantize_4bit(weight, blocksize=blocksize, quant_type="nf4")
    codes, _ = quantize_blockwise_default(plain.absmax - state.offset, state.state2.code, 256)
    moved = int((codes != state.absmax).sum())
    state.absmax = codes
    return packed, state, moved


def floats(tensor):
    return base64.b64encode(tensor.detach().float().numpy().astype("<f4").tobytes()).decode()


def raw(tensor):
    return base64.b64encode(tensor.detach().numpy().tobytes()).decode()


def weights():
    """name, weight, block size, double quantization."""
    generator = torch.Generator().manual_seed(20241124)

    def normal(*shape, dtype="float32", scale=0.05):
        return (torch.randn(*shape, generator=generator) * scale).to(DTYPES[dtype])

    zero_row = normal(4, 64)
    zero_row[2] = 0
    outliers = normal(40, 64)
    outliers[3] *= 50
    outliers[7] *= 1e-3
    yield "single value", normal(1), 64, False
    yield "odd count", normal(5, 13), 64, False
    yield "odd count, double", normal(5, 13), 64, True
    yield "partial last block", normal(13, 100), 64, True
    yield "more than one nested block", normal(130, 64, dtype="float16"), 32, True
    yield "float16, blocks of 128", normal(8, 96, dtype="float16"), 128, True
    yield "float16 subnormals", normal(4, 64, dtype="float16", scale=1e-6), 64, False
    yield "bfloat16", normal(16, 64, dtype="bfloat16"), 64, True
    yield "bfloat16, plain", normal(3, 50, dtype="bfloat16"), 64, False
    yield "blocks of 4096", normal(2, 2100), 4096, False
    yield "row of zeros", zero_row, 64, False
    yield "row of zeros, double", zero_row, 64, True
    yield "outlier rows", outliers, 64, True
    yield "float32 subnormals", normal(2, 64, scale=1e-40), 64, False


def case(name, weight, blocksize, double):
    packed, state, moved = quantize(weight, blocksize, double)
    if moved:
        print(f"{name}: native CPU kernel moves {moved} of {state.absmax.numel()} scale codes")
    dequantized = dequantize_default(packed, state)
    wrong = native_differences(packed, state, dequantized)
    if wrong:
        print(f"{name}: native CPU kernel dequantizes {wrong} of {weight.numel()} values otherwise")
    entries = state.as_dict(packed=True)
    return {
        "name": name,
        "dtype": str(weight.dtype).removeprefix("torch."),
        "shape": list(weight.shape),
        "blockSize": blocksize,
        "doubleQuant": double,
        "weight": floats(weight),
        "codes": raw(packed),
        "absmax": raw(state.absmax),
        "nestedAbsmax": raw(state.state2.absmax) if double else None,
        "quantState": bytes(entries["quant_state.bitsandbytes__nf4"].numpy()).decode(),
        "dequantized": floats(dequantized),
    }


def blockwise():
    """Random values of many magnitudes under both maps. No value lies on a midpoint."""
    generator = torch.Generator().manual_seed(7)
    exponents = torch.rand(700, generator=generator) * -7
    values = torch.randn(700, generator=generator) * 10**exponents
    for signed in (True, False):
        source = values if signed else values.abs()
        codes, absmax = quantize_blockwise_default(source, F.create_dynamic_map(signed), 256)
        yield {"signed": signed, "values": floats(source), "codes": raw(codes), "absmax": raw(absmax)}


def means():
    """torch's f32 mean, whose last bit depends on the order of summation: one thread, x86."""
    counts = [*range(1, 36), 63, 64, 65, 127, 240, 511, 512, 513, 1000, 1023, 4095, 4096, 4097]
    for count in [*counts, 20000, 102400]:
        hashes = (np.arange(1, count + 1, dtype=np.uint64) * 2654435761 & 0xFFFFFFFF) >> 8
        values = torch.from_numpy((hashes / 2**24).astype(np.float32))
        yield [count, values.mean().item()]


def python_floats():
    samples = [0.0, -0.0, 1.0, -2.0, 0.1, 1e-4, 9.999e-5, 1e-5, 1.5e-7, 123456789.0, 1e15, 1e16]
    samples += [1e21, 1.25e22, 5e-324, 1.7976931348623157e308, -3e-9, 1e100, 9007199254740993.0]
    generator = np.random.default_rng(3)
    samples += [float(np.float32(x)) for x in generator.normal(size=40) * 10.0 ** generator.integers(-12, 20, 40)]
    return [[x.hex(), json.dumps(x)] for x in samples]


def write(path):
    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    fixture = {
        "versions": {
            "bitsandbytes": bitsandbytes.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "cases": [case(*each) for each in weights()],
        "blockwise": list(blockwise()),
        "means": list(means()),
        "pythonFloats": python_floats(),
        "quantizationConfig": json.loads(config.to_json_string(use_diff=False)),
    }
    path.write_text(json.dumps(fixture, indent=1) + "\n")
    print(f"{path}: {len(fixture['cases'])} cases, {path.stat().st_size} bytes")


def compare(folder):
    for description in sorted(folder.glob("w*.json")):
        name = description.stem
        facts = json.loads(description.read_text())
        read = lambda part, dtype: np.fromfile(folder / f"{name}.{part}.bin", dtype=dtype)
        weight = torch.from_numpy(read("weight.f32le", "<f4")).to(DTYPES[facts["src_dtype"]])
        weight = weight.reshape(facts["shape"])
        _, plain = F.quantize_4bit(weight, blocksize=facts["blocksize"], quant_type="nf4")
        packed, state, moved = quantize(weight, facts["blocksize"], True)
        dequantized = dequantize_default(packed, state)
        wrong = native_differences(packed, state, dequantized)
        different = {
            "packed": int((packed.numpy().ravel() != read("packed.u8", "u1")).sum()),
            "absmax": int((plain.absmax.numpy() != read("absmax.f32le", "<f4")).sum()),
            "offset": int(state.offset.item() != facts["nested_offset"]),
            "nested_q": int((state.absmax.numpy() != read("nested_q.u8", "u1")).sum()),
            "nested_absmax": int(
                (state.state2.absmax.numpy() != read("nested_absmax.f32le", "<f4")).sum()
            ),
            "dequant": int(
                (dequantized.float().numpy().ravel() != read("dequant.f32le", "<f4")).sum()
            ),
        }
        print(f"{name}: differences {different}")
        print(f"  native CPU kernels: {moved} scale codes moved, {wrong} values dequantized otherwise")


def main():
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()
    {"write": write, "compare": compare}[arguments.action](arguments.path)


if __name__ == "__main__":
    main()
