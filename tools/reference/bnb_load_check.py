"""Loads NF4 weights that qlorajs wrote with bitsandbytes itself, and compares.

    node packages/quant-nf4/scripts/write-sample.mjs /tmp/sample.safetensors
    python tools/reference/bnb_load_check.py /tmp/sample.safetensors

Takes any safetensors file with bitsandbytes entries. For each weight NAME.weight:
- QuantState.from_dict reads its entries, and dequantize_4bit's values are compared with the tensor
  NAME.expected (f32), bit for bit, when the file has it;
- NAME.source (f32), when the file has it, is quantized by bitsandbytes and compared code by code;
- a Linear4bit is made of it: what its state_dict() writes must be the file's bytes, and its forward
  in f32 must be the product by the weight dequantized to f32 (since 0.50 the forward rounds weights
  to the dtype of its input, not to that of the source). The forward is not compared where
  bitsandbytes' native CPU kernel dequantizes wrongly: see bnb_nf4_golden.py.
Exits 1 on any difference.
"""

import sys

from bnb_nf4_golden import dequantize_default, native_differences, quantize

import bitsandbytes as bnb
import torch
from safetensors.torch import load_file

STATE = ".quant_state.bitsandbytes__nf4"


def linear_of(entries, data):
    parameter = bnb.nn.Params4bit.from_prequantized(
        data=data, quantized_stats=dict(entries), device="cpu"
    )
    out_features, in_features = parameter.quant_state.shape
    linear = bnb.nn.Linear4bit(in_features, out_features, bias=False, quant_type="nf4", device="meta")
    linear.weight = parameter
    return linear


def check(name, tensors):
    prefix = f"{name}."
    entries = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    packed = tensors[name]
    state = bnb.functional.QuantState.from_dict(dict(entries), torch.device("cpu"))
    values = dequantize_default(packed, state)
    native = native_differences(packed, state, values)
    differences = {}

    base = name.removesuffix(".weight")
    expected = tensors.get(f"{base}.expected")
    if expected is not None:
        as_bits = lambda x: x.float().contiguous().view(torch.int32)
        differences["dequantized"] = int((as_bits(values) != as_bits(expected)).sum())

    source = tensors.get(f"{base}.source")
    if source is not None:
        codes, theirs, _ = quantize(source.to(state.dtype), state.blocksize, state.nested)
        differences["codes"] = int((codes != packed).sum())
        differences["absmax"] = int((theirs.absmax != state.absmax).sum())
        if state.nested:
            differences["nested_absmax"] = int((theirs.state2.absmax != state.state2.absmax).sum())
            differences["nested_quant_map"] = int((theirs.state2.code != state.state2.code).sum())
            differences["nested_offset"] = int(theirs.offset.item() != state.offset.item())

    linear = linear_of(entries, packed)
    written = linear.state_dict()
    ours = {"weight": packed, **{f"weight.{k}": v for k, v in entries.items()}}
    differences["state_dict"] = sum(
        k not in ours or k not in written or not torch.equal(ours[k], written[k])
        for k in {*ours, *written}
    )

    linear.train()  # in eval mode some CPUs take a bf16 kernel
    x = torch.randn(3, state.shape[1], generator=torch.Generator().manual_seed(1))
    product = x @ dequantize_default(packed, state, x.dtype).t()
    if native == 0:
        differences["forward"] = float((linear(x) - product).abs().max())

    dtype = str(state.dtype).removeprefix("torch.")
    kind = "double" if state.nested else "plain"
    print(f"{name} {list(state.shape)} {dtype} blocks of {state.blocksize}, {kind}: {differences}")
    if native:
        print(f"  bitsandbytes' native CPU kernel dequantizes {native} values wrongly; forward left out")
    return any(differences.values())


def main():
    torch.set_num_threads(1)
    tensors = load_file(sys.argv[1])
    names = [key.removesuffix(STATE) for key in tensors if key.endswith(STATE)]
    if not names:
        sys.exit(f"{sys.argv[1]} has no NF4 weight")
    failed = [name for name in sorted(names) if check(name, tensors)]
    print(f"{len(names)} weights, {len(failed)} with differences {failed or ''}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
