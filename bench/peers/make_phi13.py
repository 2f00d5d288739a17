"""Random weights of the shape of Phi-1.5 (1.4 B parameters), fp16, at the folder given. Speed does not depend on training.

    python bench/peers/make_phi13.py FOLDER [--layers 24]
"""

import argparse

import torch
from transformers import PhiConfig, PhiForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--layers", type=int, default=24)
args = parser.parse_args()
torch.manual_seed(13)
config = PhiConfig(vocab_size=51200, hidden_size=2048, intermediate_size=8192, num_hidden_layers=args.layers,
                   num_attention_heads=32, partial_rotary_factor=0.5, max_position_embeddings=2048,
                   hidden_act="gelu_new", bos_token_id=51199, eos_token_id=51199)
torch.set_default_dtype(torch.float16)
with torch.device("meta"):
    model = PhiForCausalLM(config)
model.to_empty(device="cpu")
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "layernorm" in name:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        elif parameter.dim() == 1:
            parameter.zero_()
        else:
            # Uniform with a deviation of 0.02: drawing normal numbers would take several times as long.
            parameter.uniform_(-0.0346, 0.0346)
model.save_pretrained(args.folder, max_shard_size="1GB")
