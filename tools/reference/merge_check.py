"""What merging an adapter into fp16, bf16 and fp32 weights does to the logits, by `qlora merge` and by PEFT.

    python tools/reference/merge_check.py [FIGURES.json]

Every adapter is loaded by PEFT on its base in f32 and not merged: that is the truth. Beside it stand, each computed
in f32 from the weights as they are stored:
  ours  `qlora merge --dtype D`, loaded by transformers
  peft  the base loaded in D, `PeftModel.from_pretrained`, `merge_and_unload`; where the adapter trains rows of the
        head, with the head's bias set to zero, since PEFT leaves it out before the merge and not after
        (huggingface/peft#3649)
It ends with 1 where ours is off by more than 1.1 times peft's and by more than 2e-6 of the largest logit. FIGURES.json gets what the test in apps/cli/test/merge.test.ts reads.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM, PhiForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "packages/phi2-model/fixtures"
NANO = ROOT / "packages/phi-nano/model"
TINY = FIXTURES / "hf-phi/dev-a/base"
CASES = {
    "dev-a": (TINY, FIXTURES / "hf-phi/dev-a/adapter"),
    "token-rows": (TINY, FIXTURES / "hf-phi/dev-a/token-rows"),
    "dev-b": (FIXTURES / "hf-phi/dev-b/base", FIXTURES / "hf-phi/dev-b/adapter"),
    "dora": (TINY, FIXTURES / "lora-variants/dora/adapter"),
    "saved-modules": (TINY, FIXTURES / "lora-variants/saved-modules/adapter"),
    **{name: (NANO, ROOT / "packages/personalities/adapters" / name) for name in ("tutor", "sql", "stories")},
}
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def ids(vocab):
    """The probe of `qlora merge`: 48 tokens."""
    return torch.tensor([[(i * i * 31 + 7 * i + 3) % vocab for i in range(48)]])


def logits(model):
    with torch.no_grad():
        return model.float().eval()(ids(model.config.vocab_size)).logits


def load(folder, dtype):
    return PhiForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")


def ours(base, adapter, dtype, folder):
    out = folder / f"{adapter.parent.name}-{adapter.name}-{dtype}"
    subprocess.run(["node", ROOT / "apps/cli/bin/qlora.js", "merge", "--base", base, "--adapter", adapter, "--out", out,
                    "--dtype", dtype, "--backend", "wasm", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return logits(AutoModelForCausalLM.from_pretrained(out, dtype=DTYPES[dtype], attn_implementation="eager"))


def merged(base, adapter, dtype):
    model = PeftModel.from_pretrained(load(base, dtype), adapter)
    indices = model.peft_config["default"].trainable_token_indices or {}
    model = model.merge_and_unload()
    if "lm_head" in indices:
        model.lm_head.bias.data.zero_()
    return logits(model)


def largest(a, b):
    return (a - b).abs().max().item()


def main(target):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    figures, failed = {}, False
    with tempfile.TemporaryDirectory() as folder:
        for name, (base, adapter) in CASES.items():
            truth = logits(PeftModel.from_pretrained(load(base, torch.float32), adapter))
            change = largest(truth, logits(load(base, torch.float32)))
            size = truth.abs().max().item()
            figures[name] = {"change": change, "largest_logit": size}
            for dtype, torch_dtype in DTYPES.items():
                peft = largest(truth, merged(base, adapter, torch_dtype))
                own = largest(truth, ours(base, adapter, dtype, pathlib.Path(folder)))
                figures[name][dtype] = {"ours": own, "peft": peft}
                bad = own > max(1.1 * peft, 2e-6 * size)
                failed |= bad
                print(f"{name:14} {dtype:9} ours {own:.2e}  peft {peft:.2e}  largest logit {size:.1f}, change by the adapter {change:.2f}"
                      + ("  <-- worse" if bad else ""))
    if target:
        text = json.dumps(figures, indent=2, default=float)
        pathlib.Path(target).write_text(text + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
