"""Golden vectors of LoRA's variants on the tiny Phi of hf-phi/dev-a (f32, CPU, eager): DoRA, DoRA on an NF4
base, modules_to_save, and the learning rates of LoRA+.

    python tools/reference/lora_variants_golden.py make FIXTURES    # FIXTURES: packages/phi2-model/fixtures
    python tools/reference/lora_variants_golden.py check FIXTURES   # recompute what is committed

Each case is an adapter as PEFT saves it, logits, gradients, and five AdamW steps in the parameter groups of
transformers' Trainer (no decay on biases and layer norms), or of PEFT's create_loraplus_optimizer.
"""

import json
import pathlib
import re
import sys

import bitsandbytes
import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from bitsandbytes.functional import QuantState, dequantize_4bit, quantize_4bit
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from transformers import PhiForCausalLM

BLOCK = ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"]
CASES = {
    "dora": dict(lora=dict(r=4, lora_alpha=8, target_modules=BLOCK, use_dora=True)),
    "dora-nf4": dict(adapter="dora", nf4=True),
    "saved-modules": dict(
        lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "fc2"],
                  modules_to_save=["embed_tokens", "lm_head", "input_layernorm", "final_layernorm"])),
    "loraplus": dict(lora=dict(r=4, lora_alpha=8, target_modules=BLOCK, use_dora=True), loraplus=True),
}
LR, DECAY, STEPS, RATIO = 1e-2, 0.05, 5, 16.0


def base(folder, nf4):
    """With nf4: the blocks' weights as the 4-bit checkpoint beside the fixtures holds them, dequantized. bitsandbytes'
    own Linear4bit packs its codes anew in the first forward on a CPU (0.50), after which PEFT's DoRA reads them wrongly."""
    model = PhiForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    if nf4:
        stored = load_file(nf4 / "model.safetensors")
        for name, module in model.named_modules():
            if name.rsplit(".", 1)[-1] in BLOCK:
                prefix = f"{name}.weight."
                state = QuantState.from_dict({k[len(prefix):]: v for k, v in stored.items() if k.startswith(prefix)},
                                             device=torch.device("cpu"))
                module.weight.data = dequantize_4bit(stored[f"{name}.weight"], state)
    return model


def quantize(folder, target):
    """A checkpoint as bitsandbytes stores it: NF4 with double quantization."""
    tensors = {}
    for name, value in base(folder, None).state_dict().items():
        if name.rsplit(".", 2)[-2] in BLOCK and name.endswith("weight"):
            value, state = quantize_4bit(value, quant_type="nf4", compress_statistics=True)
            tensors.update({f"{name}.{k}": v for k, v in state.as_dict(packed=True).items()})
        tensors[name] = value
    target.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, target / "model.safetensors")
    (target / "config.json").write_text((folder / "config.json").read_text())


def key(name):
    return re.sub(r"\.(modules_to_save\.)?default(\.weight)?$", "", name.replace(".modules_to_save.default", "")
                  .replace("lora_A.default", "lora_A").replace("lora_B.default", "lora_B"))


def groups(model):
    decays = lambda name: not re.search(r"bias|layernorm", name)
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return [
        dict(params=[p for n, p in named if decays(n)], weight_decay=DECAY),
        dict(params=[p for n, p in named if not decays(n)], weight_decay=0.0),
    ]


def vectors(model, case, inputs):
    tensors, facts = {}, {}
    batch = {k: torch.tensor(inputs[k]) for k in ("input_ids", "attention_mask", "labels")}
    out = model(**batch)
    out.loss.backward()
    named = [(key(n), p) for n, p in model.named_parameters() if p.requires_grad]
    tensors["logits"] = out.logits.detach().clone()
    facts["loss"] = out.loss.item()
    for name, p in named:
        tensors[f"grad.{name}"] = p.grad.clone()
    if case.get("loraplus"):
        optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=LR, loraplus_lr_ratio=RATIO,
                                              loraplus_weight_decay=DECAY)
    else:
        optimizer = torch.optim.AdamW(groups(model), lr=LR)
    facts["trajectory"] = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        optimizer.step()
        facts["trajectory"].append(dict(loss=loss.item(), grad_norm=norm.item()))
    for name, p in named:
        tensors[f"after5.{name}"] = p.detach().clone()
    facts["versions"] = dict(transformers=transformers.__version__, peft=peft.__version__,
                             torch=torch.__version__, bitsandbytes=bitsandbytes.__version__)
    return tensors, facts


def load(fixtures, name, case):
    nf4 = fixtures / "lora-variants" / name / "base" if case.get("nf4") else None
    model = base(fixtures / "hf-phi/dev-a/base", nf4)
    return PeftModel.from_pretrained(model, fixtures / "lora-variants" / case.get("adapter", name) / "adapter",
                                     is_trainable=True)


def inputs_of(fixtures):
    return json.loads((fixtures / "hf-phi/dev-a/expected.json").read_text())


def make(fixtures):
    for name, case in CASES.items():
        folder = fixtures / "lora-variants" / name
        folder.mkdir(parents=True, exist_ok=True)
        if case.get("nf4"):
            quantize(fixtures / "hf-phi/dev-a/base", folder / "base")
        if "lora" in case:
            torch.manual_seed(20261125)
            wrapped = get_peft_model(base(fixtures / "hf-phi/dev-a/base", None),
                                     LoraConfig(task_type="CAUSAL_LM", **case["lora"]))
            for p_name, p in wrapped.named_parameters():
                if not p.requires_grad:
                    continue
                if "lora_B" in p_name:
                    torch.nn.init.normal_(p, std=0.05)  # zeros would hide mistakes
                elif "magnitude" in p_name:
                    p.data *= 1 + 0.1 * torch.randn_like(p)
                elif "modules_to_save" in p_name:
                    p.data += 0.02 * torch.randn_like(p)
            wrapped.peft_config["default"].base_model_name_or_path = "hf-phi/dev-a/base"
            wrapped.save_pretrained(folder / "adapter", save_embedding_layers=False)
        tensors, facts = vectors(load(fixtures, name, case), case, inputs_of(fixtures))
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "expected.safetensors")
        (folder / "expected.json").write_text(json.dumps(facts, indent=1) + "\n")
        if name == "dora":
            merged = load(fixtures, name, case).merge_and_unload()
            save_file({n: p.detach().clone() for n, p in merged.named_parameters() if re.search(r"(proj|dense|fc\d)\.weight", n)},
                      folder / "merged.safetensors")


def check(fixtures):
    worst = 0.0
    for name, case in CASES.items():
        tensors, facts = vectors(load(fixtures, name, case), case, inputs_of(fixtures))
        committed = load_file(fixtures / "lora-variants" / name / "expected.safetensors")
        off = max((value - committed[k]).abs().max().item() for k, value in tensors.items())
        print(name, f"{off:.2e}")
        worst = max(worst, off)
    return 0 if worst < 1e-4 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("make", "check"):
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[2])
    sys.exit(make(target) if sys.argv[1] == "make" else check(target))
