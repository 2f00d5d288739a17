"""transformers + peft + bitsandbytes on Phi-2's shape: what `model.ts` is compared with.

    python bench/gpu/peer.py DIR [CONFIGS]       CONFIGS like 1x512,4x512

Reads DIR/base (see tools/full-size/make_phi2.py), writes DIR/peer.json, and with --save the quantized
model to DIR/nf4 and the adapter's start to DIR/start.
"""

import json
import pathlib
import subprocess
import sys
import time

import bitsandbytes as bnb
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

folder = pathlib.Path(sys.argv[1])
configs = [tuple(map(int, each.split("x"))) for each in sys.argv[2].split(",")]
save = "--save" in sys.argv
WARM, STEPS = 2, 6


def device_mib():
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.check_output(query).split()[0])


def batch(rows, length, step):
    """The same tokens as model.ts."""
    index = torch.arange(rows * length, dtype=torch.int64)
    ids = (index * 7919 + step * 104729 + (index // length) * 31337) % 50000
    return ids.view(rows, length).cuda()


idle = device_mib()
torch.manual_seed(1)
started = time.perf_counter()
quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                  bnb_4bit_compute_dtype=torch.bfloat16)
model = AutoModelForCausalLM.from_pretrained(folder / "base", quantization_config=quantization,
                                             dtype=torch.bfloat16, device_map={"": 0})
if save:
    model.save_pretrained(folder / "nf4")
# The fastest way to train it: no fp32 copies of head and norms (prepare_model_for_kbit_training makes them).
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model.enable_input_require_grads()
model.config.use_cache = False
model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.0,
                                         target_modules=["q_proj", "k_proj", "v_proj", "dense"]))
if save:
    model.save_pretrained(folder / "start")
optimizer = bnb.optim.PagedAdamW8bit([p for p in model.parameters() if p.requires_grad], lr=1e-4)
facts = dict(torch=torch.__version__, transformers=transformers.__version__, bitsandbytes=bnb.__version__,
             gpu=torch.cuda.get_device_name(), train={}, decode={})


def step(ids):
    optimizer.zero_grad()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    return loss


model.train()
first = step(batch(*configs[0], 0)).item()
facts["first_step_seconds"] = time.perf_counter() - started
for rows, length in configs:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    losses = []
    for i in range(WARM + STEPS):
        if i == WARM:
            torch.cuda.synchronize()
            begin = time.perf_counter()
        losses.append(step(batch(rows, length, i)).detach())
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - begin) / STEPS
    facts["train"][f"{rows}x{length}"] = dict(
        seconds=seconds, tokens_per_second=rows * length / seconds, device_mib=device_mib() - idle,
        peak_gib=torch.cuda.max_memory_allocated() / 2**30, losses=[loss.item() for loss in losses])
    print(f"{rows}x{length}", json.dumps(facts["train"][f"{rows}x{length}"]), flush=True)

model.eval()
model.gradient_checkpointing_disable()
model.config.use_cache = True
with torch.inference_mode():
    for length in (128, 1024):
        ids = batch(1, length, 0)
        took = []
        for new in (4, 4, 36):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True,
                           min_new_tokens=new, max_new_tokens=new, pad_token_id=50256)
            torch.cuda.synchronize()
            took.append(time.perf_counter() - begin)
        facts["decode"][length] = 32 / (took[2] - took[1])
        print("decode", length, facts["decode"][length], "tokens/s", flush=True)
(folder / "peer.json").write_text(json.dumps(facts, indent=1))
