"""tiny-phi through real bitsandbytes: NF4 with double quantization, forward and LoRA gradients.

    python tools/reference/tiny_phi_golden.py check FIXTURES/tiny-phi

Loads the f32 base in transformers, replaces every block linear by the dequantized form of the
committed bitsandbytes checkpoint (and quantizes the f32 weights afresh: codes must agree), attaches the adapter with peft, and compares logits, loss
and gradients with the committed vectors. Exits with 1 when a difference is above 1e-4.
"""

import json
import pathlib
import sys

import bitsandbytes
import bitsandbytes.functional as bnb
import numpy
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import PhiConfig, PhiForCausalLM


def base_model(folder):
    config = PhiConfig(**json.loads((folder / "config.json").read_text()))
    model = PhiForCausalLM._from_config(config, attn_implementation="eager").eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model


def quant_state(name, entries):
    parts = {k[len(name) + 1:]: v for k, v in entries.items() if k.startswith(name + ".")}
    return bnb.QuantState.from_dict(parts, device=torch.device("cpu"))


def dequantize(codes, state):
    """Blocks run over the flattened matrix, as in CUDA. bitsandbytes 0.50's native CPU kernel starts
    blocks anew at every row, which is another matrix when columns are not a multiple of 64 (80 here);
    its `dequantize_4bit` is therefore not used, its scales and code table are."""
    absmax = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    indices = torch.stack([codes.flatten() >> 4, codes.flatten() & 15], dim=1).flatten().long()
    return (state.code[indices].reshape(-1, state.blocksize) * absmax[:, None]).reshape(state.shape)


def swap_in_quantized(model, folder):
    """Puts the dequantized weights into the model; returns how many codes differ afresh."""
    entries = load_file(folder / "model.nf4-dq.safetensors")
    differing = 0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if f"{name}.absmax" not in entries:
                continue
            fresh, _ = bnb.quantize_4bit(parameter.data.contiguous(), quant_type="nf4",
                                         compress_statistics=True, blocksize=64)
            differing += int((fresh.flatten() != entries[name].flatten()).sum())
            parameter.copy_(dequantize(entries[name], quant_state(name, entries)))
    return differing


def read(folder, file, shape):
    return torch.from_numpy(numpy.fromfile(folder / file, dtype="<f4").reshape(shape).copy())


def run(model, expected):
    ids, mask, labels = (torch.tensor(expected[k]) for k in ("input_ids", "attention_mask", "labels"))
    return mask.bool(), model(input_ids=ids, attention_mask=mask, labels=labels)


def check(folder):
    expected = json.loads((folder / "expected.json").read_text())
    worst = 0.0

    def compare(what, actual, wanted, relative=False):
        nonlocal worst
        off = (actual - wanted).abs().max().item() / (wanted.abs().max().item() if relative else 1)
        worst = max(worst, off)
        print(f"{what:32s} {off:.2e}{' relative' if relative else ''}")

    for kind in ("base", "lora", "qlora"):
        model = base_model(folder)
        if kind == "qlora":
            print("codes that differ when quantized afresh:", swap_in_quantized(model, folder))
        if kind != "base":
            model = PeftModel.from_pretrained(model, folder, is_trainable=True)
        mask, out = run(model, expected)
        wanted = read(folder, f"logits.{kind}.f32le.bin", out.logits.shape)
        compare(f"{kind} logits (real positions)", out.logits.detach()[mask], wanted[mask])
        compare(f"{kind} loss", out.loss.detach(), torch.tensor(expected[kind]["loss"]))
        if kind == "base":
            continue
        out.loss.backward()
        gradients = load_file(folder / f"grads.{kind}.safetensors")
        for name, p in model.named_parameters():
            if p.requires_grad:
                compare(f"{kind} grad {name[-40:]}", p.grad, gradients[name.replace(".default", "")], True)
    print(f"bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}; largest difference {worst:.2e}")
    return 0 if worst <= 1e-4 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "check":
        sys.exit(__doc__)
    sys.exit(check(pathlib.Path(sys.argv[2])))
