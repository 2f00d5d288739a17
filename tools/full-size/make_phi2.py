"""Random weights of Phi-2's shape, in two shards, with a PEFT adapter and inputs (no download).

    python tools/full-size/make_phi2.py DIR [--layers 32] [--hidden 2560] [--vocab 51200]

Writes DIR/base (fp16 shards of at most 5 GB with an index), DIR/adapter (r 16 on q, k, v, dense; B
filled) and DIR/inputs.json. Speed, memory and exactness do not depend on the values being trained.
"""

import argparse
import json
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from transformers import PhiConfig, PhiForCausalLM


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=2560)
    parser.add_argument("--vocab", type=int, default=51200)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(20261124)
    config = PhiConfig(vocab_size=args.vocab, hidden_size=args.hidden, intermediate_size=4 * args.hidden,
                       num_hidden_layers=args.layers, num_attention_heads=args.hidden // 80,
                       partial_rotary_factor=0.4, max_position_embeddings=2048, hidden_act="gelu_new",
                       resid_pdrop=0.0, bos_token_id=args.vocab - 1, eos_token_id=args.vocab - 1)
    with torch.device(device):
        model = PhiForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "layernorm" not in name or name.endswith("bias"):
                parameter.normal_(std=0.02)
    model = model.half()
    model.save_pretrained(args.dir / "base", max_shard_size="5GB")
    adapted = get_peft_model(model.float(), LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32,
                             target_modules=["q_proj", "k_proj", "v_proj", "dense"]))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    adapted.save_pretrained(args.dir / "adapter")
    ids = torch.randint(0, args.vocab, (2, 64), device=device)
    mask = torch.ones_like(ids)
    mask[1, 50:] = 0
    labels = ids.clone()
    labels[:, :20] = -100
    labels[mask == 0] = -100
    inputs = dict(input_ids=ids.tolist(), attention_mask=mask.tolist(), labels=labels.tolist())
    (args.dir / "inputs.json").write_text(json.dumps(inputs))


main()
