"""Golden vectors of a tiny Phi with LoRA, made by transformers, peft and torch (f32, CPU, eager).

    python tools/reference/hf_phi_golden.py make OUT_DIR    # new weights, new vectors
    python tools/reference/hf_phi_golden.py check FIXTURES  # recompute the vectors of the committed weights

`check` prints the largest difference of every group between the committed vectors and what the
installed versions compute; it exits with 1 when one is above 1e-5 (1e-4 after ten optimizer steps).
"""

import json
import math
import pathlib
import sys

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PhiConfig, PhiForCausalLM

CASES = {
    "dev-a": dict(
        config=dict(vocab_size=211, hidden_size=64, intermediate_size=160, num_hidden_layers=2,
                    num_attention_heads=4, partial_rotary_factor=0.4, max_position_embeddings=128),
        lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "dense"]),
        lengths=[24, 21, 18],
    ),
    "dev-b": dict(
        config=dict(vocab_size=300, hidden_size=80, intermediate_size=192, num_hidden_layers=3,
                    num_attention_heads=1, partial_rotary_factor=0.4, max_position_embeddings=128),
        lora=dict(r=8, lora_alpha=16, use_rslora=True,
                  target_modules=["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"]),
        lengths=[24, 17],
    ),
}
OPTIMIZER = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
STEPS, WARMUP, MAX_NORM, NEW_TOKENS = 10, 2, 1.0, 24


def schedule(step):
    if step < WARMUP:
        return step / WARMUP
    return max(0.0, 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))))


def load(folder):
    base = PhiForCausalLM.from_pretrained(folder / "base", dtype=torch.float32, attn_implementation="eager")
    return PeftModel.from_pretrained(base.eval(), folder / "adapter", is_trainable=True)


def key(name):
    return name.replace(".default", "")


def vectors(model, inputs):
    """Everything that the TypeScript tests compare, from a loaded model; trains it for ten steps."""
    tensors, facts = {}, {}
    ids, mask, labels = (torch.tensor(inputs[k]) for k in ("input_ids", "attention_mask", "labels"))
    with torch.no_grad(), model.disable_adapter():
        out = model(input_ids=ids, attention_mask=mask, labels=labels, output_hidden_states=True)
        tensors["base.logits"] = out.logits
        facts["base_loss"] = out.loss.item()
        for i, state in enumerate(out.hidden_states):
            tensors[f"base.hidden.{i}"] = state
    out = model(input_ids=ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    tensors["lora.logits"] = out.logits.detach()
    facts["lora_loss"] = out.loss.item()
    parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    facts["grad_norm"] = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for _, p in parameters])).item()
    for name, p in parameters:
        tensors[f"grad.{key(name)}"] = p.grad.clone()
    optimizer = torch.optim.AdamW([p for _, p in parameters], **OPTIMIZER)
    facts["trajectory"] = []
    for step in range(STEPS):
        rate = OPTIMIZER["lr"] * schedule(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in parameters], MAX_NORM)
        optimizer.step()
        facts["trajectory"].append(dict(loss=loss.item(), grad_norm=norm.item(), learning_rate=rate))
    with torch.no_grad():
        tensors["after10.logits"] = model(input_ids=ids, attention_mask=mask).logits
    for name, p in parameters:
        tensors[f"after10.{key(name)}"] = p.detach().clone()
    return tensors, facts


def greedy(model, prompt):
    out = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=NEW_TOKENS,
                         do_sample=False, eos_token_id=None, pad_token_id=0)
    return out[0].tolist()


def make(target):
    for name, case in CASES.items():
        torch.manual_seed(20261124)
        folder = target / name
        eos = case["config"]["vocab_size"] - 1
        config = PhiConfig(**case["config"], hidden_act="gelu_new", initializer_range=0.08,
                           bos_token_id=eos, eos_token_id=eos, tie_word_embeddings=False)
        base = PhiForCausalLM(config).eval()
        base.save_pretrained(folder / "base")
        wrapped = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **case["lora"]))
        for p_name, p in wrapped.named_parameters():
            if "lora_B" in p_name:
                torch.nn.init.normal_(p, std=0.05)  # zeros would hide mistakes
        wrapped.save_pretrained(folder / "adapter")
        width = max(case["lengths"])
        inputs = dict(input_ids=[], attention_mask=[], labels=[])
        for length in case["lengths"]:
            row = torch.randint(0, eos, (length,)).tolist()
            pad = width - length
            inputs["input_ids"].append(row + [eos] * pad)
            inputs["attention_mask"].append([1] * length + [0] * pad)
            inputs["labels"].append([-100] * 8 + row[8:] + [-100] * pad)
        model = load(folder)
        tensors, facts = vectors(model, inputs)
        merged = model.merge_and_unload()
        merged.save_pretrained(folder / "merged-after10")
        prompt = inputs["input_ids"][0][:8]
        facts["greedy"] = dict(prompt=prompt, max_new_tokens=NEW_TOKENS, output=greedy(merged, prompt))
        facts["versions"] = dict(transformers=transformers.__version__, peft=peft.__version__,
                                 torch=torch.__version__)
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "expected.safetensors")
        (folder / "expected.json").write_text(json.dumps({**inputs, **facts}, indent=1))


def check(fixtures):
    worst = 0.0
    for name in CASES:
        folder = fixtures / name
        expected = json.loads((folder / "expected.json").read_text())
        committed = load_file(folder / "expected.safetensors")
        model = load(folder)
        tensors, facts = vectors(model, expected)
        groups = {}
        for tensor_name, value in tensors.items():
            group = tensor_name.split(".")[0] + "." + ("logits" if "logits" in tensor_name else "tensors")
            off = (value - committed[tensor_name]).abs().max().item()
            groups[group] = max(groups.get(group, 0.0), off)
        steps = zip(facts["trajectory"], expected["trajectory"], strict=True)
        groups["trajectory.loss"] = max(abs(a["loss"] - b["loss"]) for a, b in steps)
        merged = PhiForCausalLM.from_pretrained(folder / "merged-after10", dtype=torch.float32,
                                                attn_implementation="eager").eval()
        same = greedy(merged, expected["greedy"]["prompt"]) == expected["greedy"]["output"]
        print(name, {k: f"{v:.2e}" for k, v in groups.items()}, "greedy equal" if same else "GREEDY DIFFERS")
        limits = {k: v / (1e-4 if k.startswith(("after10", "trajectory")) else 1e-5) for k, v in groups.items()}
        worst = max(worst, *limits.values(), 0.0 if same else math.inf)
    print(f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}")
    return 0 if worst <= 1 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("make", "check"):
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[2])
    sys.exit(make(target) if sys.argv[1] == "make" else check(target))
