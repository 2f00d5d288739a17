"""The figures of run.mjs by PyTorch: python torch_answers.py BASE ADAPTER…

`generate` with a static batch of one adapter (f32, eager; transformers has no continuous batching of
adapters on a CPU), load_adapter and set_adapter of peft.
"""

import json
import statistics
import sys
import time
import warnings

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

warnings.filterwarnings("ignore")
base, *adapters = sys.argv[1:]
torch.set_num_threads(2)
tokenizer = AutoTokenizer.from_pretrained(adapters[0])
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
model = PeftModel.from_pretrained(model, adapters[0], adapter_name="0").eval()
for i, folder in enumerate(adapters[1:], 1):
    model.load_adapter(folder, adapter_name=str(i))


def timed(work):
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


loads = []
for i in range(10):
    loads.append(timed(lambda: model.load_adapter(adapters[i % len(adapters)], adapter_name=f"x{i}")))
    model.delete_adapter(f"x{i}")
switches = [timed(lambda: model.set_adapter(str(i % len(adapters)))) for i in range(30)]

messages = [{"role": "user", "content": "¿Qué es una pila y para qué sirve?"}]
text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
rows = []
for clients in (1, 4, 16):
    batch = ids.repeat(clients, 1)
    mask = torch.ones_like(batch)

    def run(tokens):
        with torch.no_grad():
            model.generate(input_ids=batch, attention_mask=mask, max_new_tokens=tokens, min_new_tokens=tokens,
                           do_sample=True, temperature=1.5, top_k=0, pad_token_id=0)

    run(4)
    first = statistics.median(timed(lambda: run(1)) for _ in range(3))
    whole = statistics.median(timed(lambda: run(64)) for _ in range(3))
    rows.append(dict(clients=clients, first_token_ms=first, tokens_per_second=64 * clients / (whole / 1000)))
print(json.dumps(dict(rows=rows, load_ms=statistics.median(loads), switch_ms=statistics.median(switches))))
