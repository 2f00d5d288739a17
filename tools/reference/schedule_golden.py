"""Multipliers of transformers' learning-rate schedules, step by step.

    python tools/reference/schedule_golden.py > packages/trainer/fixtures/schedules.json
"""

import json

import torch
import transformers
from transformers import get_scheduler

CASES = [
    dict(type="linear", warmup=4, total=20),
    dict(type="cosine", warmup=4, total=20),
    dict(type="constant_with_warmup", warmup=4, total=20),
    *[dict(type="warmup_stable_decay", warmup=warmup, total=20, decay=decay, shape=shape, floor=floor)
      for warmup, decay in [(4, 6), (0, 20), (15, 10), (3, 0)]
      for shape in ["cosine", "linear", "1-sqrt"]
      for floor in [0.0, 0.1]],
]


def multipliers(case):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    extra = {}
    if case["type"] == "warmup_stable_decay":
        extra = dict(num_decay_steps=case["decay"], decay_type=case["shape"], min_lr_ratio=case["floor"])
    scheduler = get_scheduler(case["type"], optimizer, num_warmup_steps=case["warmup"],
                              num_training_steps=case["total"], scheduler_specific_kwargs=extra)
    return [scheduler.lr_lambdas[0](step) for step in range(case["total"] + 3)]


cases = [{**case, "multipliers": multipliers(case)} for case in CASES]
print(json.dumps({"transformers": transformers.__version__, "cases": cases}))
