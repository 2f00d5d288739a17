"""Loads the zip that the playground gives with PEFT and lets it answer: playground_zip_check.py ZIP BASE.

BASE is phi-nano's folder (packages/phi-nano/model). Prints the answer's tokens and the adapter's figures.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

archive, base_folder = sys.argv[1:3]
with tempfile.TemporaryDirectory() as folder:
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        opened.extractall(folder)
    [adapter] = [path for path in Path(folder).iterdir() if path.is_dir()]
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter)
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    changed = [name for name, value in model.named_parameters() if "lora_B" in name and value.abs().max() > 0]
    chat = [{"role": "user", "content": "Cuéntame un cuento sobre una luna."}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**ids, max_new_tokens=24, do_sample=False)
    print(f"{adapter.name}: {len(changed)} lora_B matrices are not zero; files {sorted(p.name for p in adapter.iterdir())}")
    print(tokenizer.decode(out[0, ids["input_ids"].shape[1]:]))
    assert changed
