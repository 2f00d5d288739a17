"""Compares what `run.ts` wrote into DIR with transformers and peft in f32 on the same files.

    python tools/full-size/compare.py DIR
"""

import json
import pathlib
import sys

import torch
import transformers
from peft import PeftModel
from safetensors import safe_open
from transformers import PhiForCausalLM

NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
       -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
       0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
       0.7229568362236023, 1.0]

folder = pathlib.Path(sys.argv[1])
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = False
inputs = json.loads((folder / "inputs.json").read_text())
ids, mask, labels = (torch.tensor(inputs[k], device=device) for k in ("input_ids", "attention_mask", "labels"))
ours = safe_open(folder / "ours.safetensors", "pt", device=device)
facts = json.loads((folder / "ours.json").read_text())


def report(what, actual, expected):
    off = (actual - expected).abs().max().item()
    print(f"{what:44s} {actual.numel():>12d} values  largest difference {off:.3e}  of {expected.abs().max().item():.3e}")


def base_model():
    model = PhiForCausalLM.from_pretrained(folder / "base", dtype=torch.float32, attn_implementation="eager")
    return model.to(device).eval()


def dequantize(file, name, shape):
    """bitsandbytes' layout, decoded in f32 without rounding to the source's dtype."""
    codes = file.get_tensor(name).flatten()
    state = json.loads(bytes(file.get_tensor(f"{name}.quant_state.bitsandbytes__nf4").cpu().tolist()))
    nested = file.get_tensor(f"{name}.nested_absmax").repeat_interleave(state["nested_blocksize"])
    scales = file.get_tensor(f"{name}.absmax").long()
    scales = file.get_tensor(f"{name}.nested_quant_map")[scales] * nested[: scales.numel()]
    scales = scales + state["nested_offset"]
    table = torch.tensor(NF4, device=device)
    indices = torch.stack([codes >> 4, codes & 15], 1).flatten().long()
    return (table[indices].reshape(-1, state["blocksize"]) * scales[:, None]).reshape(shape)


model = base_model()
print(f"{device}, torch {torch.__version__}, transformers {transformers.__version__}; ours: {facts}")
with torch.no_grad():
    if "base.logits" in ours.keys():
        report("base logits, f32", ours.get_tensor("base.logits"), model(input_ids=ids, attention_mask=mask).logits)
    else:
        print("base logits, f32: skipped by ours:", facts.get("skipped"))
    with safe_open(folder / "nf4.safetensors", "pt", device=device) as file:
        count = 0
        for name, parameter in model.named_parameters():
            if f"{name}.absmax" in file.keys():
                parameter.copy_(dequantize(file, name, parameter.shape))
                count += 1
    print(f"{count} matrices dequantized in torch")
    report("NF4 logits", ours.get_tensor("nf4.logits"), model(input_ids=ids, attention_mask=mask).logits)
adapted = PeftModel.from_pretrained(model, folder / "adapter", is_trainable=True)
out = adapted(input_ids=ids, attention_mask=mask, labels=labels)
out.loss.backward()
print(f"loss: torch {out.loss.item():.7f}, ours {facts['loss']:.7f}")
worst = 0.0
trained = [(n.replace(".default", ""), p) for n, p in adapted.named_parameters() if p.requires_grad]
for name, parameter in trained:
    gradient = ours.get_tensor(f"grad.{name}")
    worst = max(worst, ((gradient - parameter.grad).abs().max() / parameter.grad.abs().max()).item())
print(f"{len(trained)} gradients: largest difference {worst:.3e} of the tensor's largest entry")
