"""Makes packages/lora/fixtures with PEFT itself.

    python -m venv .venv && .venv/bin/pip install torch transformers peft
    .venv/bin/python tools/reference/peft_fixtures.py

Written by torch 2.13.0, transformers 5.23.0, peft 0.21.2 (see fixtures/PROVENANCE.md).
"""

import json
import shutil
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import PhiConfig, PhiForCausalLM

FIXTURES = Path(__file__).parents[2] / "packages/lora/fixtures"
warnings.filterwarnings("ignore")


def tiny_phi(layers=1, tied=False):
    torch.manual_seed(0)
    config = PhiConfig(
        vocab_size=24,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
    )
    return PhiForCausalLM(config).eval()


def noisy(model):
    """Fills every trainable tensor, so that none is zero by chance."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(0, 0.1)
    return model


def linear_layer(rslora, dtype=torch.float64):
    """Forward, gradients and merged weight of one lora.Linear, without bias."""

    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = torch.nn.Linear(6, 5, bias=False)

        def forward(self, x):
            return self.proj(x)

    torch.manual_seed(2)
    base = Holder().to(dtype)
    config = LoraConfig(r=3, lora_alpha=12, target_modules=["proj"], use_rslora=rslora)
    model = noisy(get_peft_model(base, config, autocast_adapter_dtype=False))
    x = torch.randn(2, 4, 6, dtype=dtype, requires_grad=True)
    d_out = torch.randn(2, 4, 5, dtype=dtype)
    out = model(x)
    out.backward(d_out)
    layer = model.base_model.model.proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    weight = layer.base_layer.weight.detach().clone()
    values = {
        "weight": weight,
        "a": a,
        "b": b,
        "x": x,
        "d_out": d_out,
        "base": x @ weight.T,
        "base_d_x": d_out @ weight,
        "out": out,
        "d_x": x.grad,
        "d_a": a.grad,
        "d_b": b.grad,
    }
    layer.merge()
    values["merged"] = layer.base_layer.weight
    return {
        "rank": 3,
        "scaling": layer.scaling["default"],
        "use_rslora": rslora,
        **{name: value.detach().flatten().tolist() for name, value in values.items()},
    }


def write_linear():
    text = json.dumps([linear_layer(False), linear_layer(True)])
    (FIXTURES / "lora-linear.json").write_text(text)


TARGETS = [
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": ["model.layers.1.mlp.fc1", "self_attn.dense"]},
    {"target_modules": ["proj"]},
    {"target_modules": ["q_proj", "lm_head"]},
    {"target_modules": "all-linear"},
    {"target_modules": "ALL-LINEAR", "exclude_modules": ["fc1", "model.layers.0.mlp.fc2"]},
    {"target_modules": r".*\.(q|k)_proj"},
    {"target_modules": r"model\.layers\.(?P<layer>1\d)\.mlp\.fc[12]"},
    {"target_modules": "q_proj"},
    {"target_modules": r"(?i).*Q_PROJ"},
    {"target_modules": r".*fc1|.*fc2"},
    {"target_modules": "all-linear", "exclude_modules": r".*self_attn.*"},
    {"target_modules": ["q_proj"], "layers_to_transform": [0, 10]},
    {"target_modules": ["q_proj", "model.layers.3.mlp.fc1"], "layers_to_transform": 1},
    {"target_modules": ["q_proj"], "layers_to_transform": [2], "layers_pattern": "layers"},
    {"target_modules": ["q_proj"], "layers_to_transform": [2], "layers_pattern": ["h", "layers"]},
    {"target_modules": ["q_proj"], "layers_to_transform": []},
    {"target_modules": None},
    {
        "target_modules": ["q_proj", "k_proj", "fc1"],
        "rank_pattern": {"q_proj": 2, "model.layers.1.mlp.fc1": 4, r"layers\.\d\.self_attn.k_proj": 1},
        "alpha_pattern": {"fc1": 3, r"1\..*": 9},
    },
    {"target_modules": ["q_proj"], "use_rslora": True, "rank_pattern": {"layers.1.self_attn.q_proj": 2}},
    {"target_modules": ["fc3"]},
]


def chosen(options):
    """What PEFT wraps, with rank and scaling; an empty list when it refuses."""
    config = LoraConfig(r=8, lora_alpha=16, **options)
    try:
        model = get_peft_model(tiny_phi(layers=12), config)
    except ValueError as error:
        assert "not found" in str(error) or "No modules" in str(error), error
        return []
    return [
        [name, layer.r["default"], layer.scaling["default"]]
        for name, layer in model.base_model.model.named_modules()
        if hasattr(layer, "lora_A")
    ]


def write_targets():
    linear = [
        [name, module.in_features, module.out_features]
        for name, module in tiny_phi(layers=12).named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    cases = [{"config": options, "targets": chosen(options)} for options in TARGETS]
    (FIXTURES / "targets.json").write_text(json.dumps({"modules": linear, "cases": cases}, indent=1))


FOLDERS = {
    "plain": (False, {"use_rslora": True, "lora_dropout": 0.05}),
    "half": (False, {}),
    "tokens-untied": (False, {"trainable_token_indices": {"embed_tokens": [20, 3, 21], "lm_head": [20, 3, 21]}}),
    "tokens-apart": (True, {"trainable_token_indices": {"embed_tokens": [5, 6], "lm_head": [7]}}),
    "tokens-tied": (True, {"trainable_token_indices": {"embed_tokens": [20, 3], "lm_head": [20, 3]}}),
    "tokens-list": (True, {"trainable_token_indices": [9, 4, 1]}),
    "patterns": (False, {"rank_pattern": {"layers.0.mlp.fc1": 4}, "alpha_pattern": {"fc1": 2}, "lora_alpha": 0.5}),
}


def write_folders():
    """Adapter folders as PEFT saves them."""
    for name, (tied, options) in FOLDERS.items():
        config = LoraConfig(
            r=2, target_modules=["q_proj", "fc1"], task_type="CAUSAL_LM", **{"lora_alpha": 4, **options}
        )
        model = noisy(get_peft_model(tiny_phi(tied=tied), config))
        if name == "half":
            model = model.half()
        shutil.rmtree(FIXTURES / name, ignore_errors=True)
        model.save_pretrained(FIXTURES / name)
        (FIXTURES / name / "README.md").unlink()


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    write_linear()
    write_targets()
    write_folders()
