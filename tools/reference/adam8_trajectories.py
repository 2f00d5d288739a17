"""Makes packages/paged-optim/fixtures/trajectory.json with torch.optim.AdamW.

    python -m venv .venv && .venv/bin/pip install torch transformers
    .venv/bin/python tools/reference/adam8_trajectories.py

Written by torch 2.13.0 and transformers 5.23.0 (see fixtures/PROVENANCE.md).
"""

import json
from pathlib import Path

import torch
from transformers import get_cosine_schedule_with_warmup

FIXTURES = Path(__file__).parents[2] / "packages/paged-optim/fixtures"
SHAPES = {"layer.lora_A.weight": [2, 9], "layer.lora_B.weight": [5, 2], "layer.norm.bias": [5]}
STEPS = 10


def trajectory():
    """Two groups (no decay for the bias), cosine schedule with two warm-up steps, clipping to 1."""
    generator = torch.Generator().manual_seed(0)

    def draw(shape, scale=1.0):
        return torch.randn(shape, generator=generator) * scale

    parameters = {name: torch.nn.Parameter(draw(shape)) for name, shape in SHAPES.items()}
    start = {name: value.flatten().tolist() for name, value in parameters.items()}
    groups = [
        {"params": [p for name, p in parameters.items() if "bias" not in name], "weight_decay": 0.1},
        {"params": [p for name, p in parameters.items() if "bias" in name], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99), eps=1e-8)
    schedule = get_cosine_schedule_with_warmup(optimizer, 2, STEPS)
    steps = []
    for step in range(STEPS):
        # Norms on both sides of the limit, over four orders of magnitude.
        scale = [1.0, 0.05, 3.0, 0.001, 10.0][step % 5]
        for name, parameter in parameters.items():
            parameter.grad = draw(SHAPES[name], scale)
        gradients = {name: value.grad.flatten().tolist() for name, value in parameters.items()}
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0).item()
        rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        values = {name: value.flatten().tolist() for name, value in parameters.items()}
        steps.append({"learning_rate": rate, "grad_norm": norm, "gradients": gradients, "parameters": values})
    return {"shapes": SHAPES, "start": start, "steps": steps}


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    (FIXTURES / "trajectory.json").write_text(json.dumps(trajectory()))
