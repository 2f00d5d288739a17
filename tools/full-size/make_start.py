"""DIR/start: a fresh PEFT adapter (r 16 on q, k, v, dense; B zero) for DIR/base's shape.

    python make_start.py DIR
"""

import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

folder = pathlib.Path(sys.argv[1])
torch.manual_seed(7)
config = AutoConfig.from_pretrained(folder / "base")
with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
    model = AutoModelForCausalLM.from_config(config)
config = LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.0,
                    target_modules=["q_proj", "k_proj", "v_proj", "dense"])
get_peft_model(model, config).save_pretrained(folder / "start")
