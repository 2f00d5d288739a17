"""Vectors of a PEFT adapter that trains token rows of embedding and head, not merged.

    python tools/reference/token_rows_golden.py FIXTURES/hf-phi/dev-a

Writes token-rows/ beside the base: the adapter as PEFT saves it, and in expected.safetensors its
logits and every gradient of the loss on the inputs of expected.json (f32, CPU, eager).
"""

import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import PhiForCausalLM

folder = pathlib.Path(sys.argv[1])
inputs = json.loads((folder / "expected.json").read_text())
ids, mask, labels = (torch.tensor(inputs[k]) for k in ("input_ids", "attention_mask", "labels"))
# Rows that occur among the inputs and the labels, and one that does not.
rows = sorted({*inputs["input_ids"][0][:2], *inputs["labels"][0][-2:]}) + [209]

torch.manual_seed(20261124)
base = PhiForCausalLM.from_pretrained(folder / "base", dtype=torch.float32, attn_implementation="eager").eval()
model = get_peft_model(base, LoraConfig(
    task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "fc1"],
    trainable_token_indices={"embed_tokens": rows, "lm_head": rows}))
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "trainable_tokens_delta" in name:
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
model.save_pretrained(folder / "token-rows")
out = model(input_ids=ids, attention_mask=mask, labels=labels)
out.loss.backward()
tensors = {"logits": out.logits.detach(), "loss": out.loss.detach().reshape(1)}
for name, parameter in model.named_parameters():
    if parameter.requires_grad:
        tensors[f"grad.{name.replace('.default', '')}"] = parameter.grad
save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "token-rows/expected.safetensors")
(folder / "token-rows/README.md").unlink()
