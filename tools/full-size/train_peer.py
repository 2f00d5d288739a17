"""The steps of a `qlora train` run again with transformers, peft and bitsandbytes, from the same start.

    python train_peer.py DIR OUT DATA.jsonl [float32|bfloat16]

DIR/base and DIR/start (an adapter) are what the run began with, OUT is its folder: its tokenizer and
template render the rows, its train_log.jsonl has its losses. NF4 with double quantization, products in
the given dtype, f32 adapter, AdamW with a linear schedule, rows in order, no dropout.
"""

import json
import pathlib
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, get_linear_schedule_with_warmup

folder, out, data = map(pathlib.Path, sys.argv[1:4])
dtype = getattr(torch, sys.argv[4] if len(sys.argv) > 4 else "float32")
log = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
ours = [entry["loss"] for entry in log if "loss" in entry]
tokenizer = AutoTokenizer.from_pretrained(out)
rows = []
for line in data.read_text().splitlines()[: 4 * len(ours)]:
    chat = tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=True, return_assistant_tokens_mask=True)
    mask = chat["assistant_masks"]
    rows.append((chat["input_ids"], [i if m else -100 for i, m in zip(chat["input_ids"], mask)]))
model = AutoModelForCausalLM.from_pretrained(
    folder / "base", dtype=dtype, device_map={"": 0},
    quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                           bnb_4bit_compute_dtype=dtype))
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model.enable_input_require_grads()
model = PeftModel.from_pretrained(model, folder / "start", is_trainable=True)
trained = [p for p in model.parameters() if p.requires_grad]
assert all(p.dtype == torch.float32 for p in trained)
optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)
schedule = get_linear_schedule_with_warmup(optimizer, 0, len(ours))
model.train()
worst, losses = 0.0, []
for step in range(len(ours)):
    batch = rows[4 * step : 4 * step + 4]
    length = max(len(ids) for ids, _ in batch)
    pad = lambda values, fill: torch.tensor([v + [fill] * (length - len(v)) for v in values]).cuda()
    ids, labels = pad([i for i, _ in batch], 50256), pad([l for _, l in batch], -100)
    mask = pad([[1] * len(i) for i, _ in batch], 0)
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    losses.append(loss.item())
    worst = max(worst, abs(ours[step] / losses[-1] - 1))
print(f"{len(ours)} steps in {dtype}: first {losses[0]:.4f} against {ours[0]:.4f}, last {losses[-1]:.4f} against "
      f"{ours[-1]:.4f}; largest difference {100 * worst:.3f} %")
(out / f"peer_{sys.argv[4] if len(sys.argv) > 4 else 'float32'}.json").write_text(json.dumps(dict(ours=ours, peer=losses)))
