"""Makes packages/lora/fixtures/combine with PEFT's add_weighted_adapter.

    python tools/reference/peft_combine.py

Three adapters with unlike targets, ranks and scalings, and what PEFT makes of them. Written by torch 2.13.0,
transformers 5.23.0, peft 0.21.2.
"""

import shutil

import warnings

from peft import LoraConfig, get_peft_model
from peft_fixtures import FIXTURES, noisy, tiny_phi

OUT = FIXTURES / "combine"
ADAPTERS = {
    "one": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "two": dict(r=4, lora_alpha=2, target_modules=["q_proj", "fc1"]),
    "three": dict(r=2, lora_alpha=8, target_modules=["q_proj", "dense"]),
}
COMBINATIONS = {
    "linear": dict(adapters=["one", "two"], weights=[0.7, -0.4], combination_type="linear"),
    "cat": dict(adapters=["one", "three"], weights=[0.5, 1.5], combination_type="cat"),
    "svd": dict(adapters=["one", "two", "three"], weights=[1.0, 0.5, -0.75], combination_type="svd"),
    "svd-3": dict(adapters=["one", "two"], weights=[0.6, 0.4], combination_type="svd", svd_rank=3),
}

shutil.rmtree(OUT, ignore_errors=True)
model = None
for name, options in ADAPTERS.items():
    config = LoraConfig(task_type="CAUSAL_LM", **options)
    if model is None:
        model = get_peft_model(tiny_phi(), config, adapter_name=name)
    else:
        model.add_adapter(name, config)
model.base_model.set_adapter(list(ADAPTERS))
noisy(model)
for name, options in COMBINATIONS.items():
    model.add_weighted_adapter(adapter_name=name, **options)
for name in [*ADAPTERS, *COMBINATIONS]:
    model.save_pretrained(OUT, selected_adapters=[name])
    (OUT / name / "README.md").unlink(missing_ok=True)
(OUT / "README.md").unlink(missing_ok=True)
print(sorted(each.name for each in OUT.iterdir()))
