"""4-bit checkpoints both ways: ours loaded by bitsandbytes through transformers, theirs loaded by us.

    python tools/reference/quantize_check.py     # after `npm test` or `pnpm build`; on a CPU

Quantizes phi-nano with `qlora quantize` and with bitsandbytes (plain and double quantization):
packed bytes, scales and states must be equal (but for what bitsandbytes' CPU rounding does to nested
codes), transformers must load our folder and give our logits, and `qlora logits` must take both. Exits with 1 when something differs.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import bitsandbytes
import bitsandbytes.functional as bnb
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import BitsAndBytesConfig, PhiForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
QLORA = ["node", str(ROOT / "apps/cli/bin/qlora.js")]
BASE = ROOT / "packages/phi-nano/model"


def qlora(*arguments):
    subprocess.run([*QLORA, *map(str, arguments)], check=True, capture_output=True, text=True)


def entries(folder):
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():
                found[name] = opened.get_tensor(name)
    return found


def check(double, folder):
    # qlora keeps the source's dtype, so theirs is loaded in it: the quantization state names it.
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype=torch.float32)
    ours, theirs, ids = folder / "ours", folder / "theirs", folder / "ids.json"
    qlora("quantize", "--base", "phi-nano", "--out", ours, *([] if double else ["--no-bnb-4bit-use-double-quant"]))
    model = PhiForCausalLM.from_pretrained(BASE, quantization_config=config, dtype=torch.float16)
    model.save_pretrained(theirs)
    a, b = entries(ours), entries(theirs)
    names_differ = sorted(set(a) ^ set(b))
    differ = [n for n in a if n in b and not torch.equal(a[n].flatten().view(torch.uint8), b[n].flatten().view(torch.uint8))]
    loaded = PhiForCausalLM.from_pretrained(ours, dtype=torch.float32)
    dense = PhiForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, module in loaded.named_modules():
            if type(module).__name__ == "Linear4bit":
                module.weight.quant_state.dtype = torch.float32  # as qlorajs, and as a product in f32
                weight = bnb.dequantize_4bit(module.weight.data, module.weight.quant_state)
                dense.get_submodule(name).weight.copy_(weight)
    kinds = {type(m).__name__ for n, m in loaded.named_modules() if n.endswith("q_proj")}
    batch = torch.randint(0, 8191, (2, 16), generator=torch.Generator().manual_seed(1))
    # bitsandbytes' CPU library rounds 8-bit codes through a coarse table: nested codes may be off.
    nested = [n for n in differ if double and n.endswith(".weight.absmax")]
    share = sum((a[n] != b[n]).sum().item() for n in nested) / max(1, sum(a[n].numel() for n in a if n.endswith(".absmax")))
    differ = [n for n in differ if n not in nested]
    ids.write_text(json.dumps({"input_ids": batch.tolist()}))
    logits = []
    for name in (ours, theirs):
        qlora("logits", "--base", name, "--ids", ids, "--out", folder / "logits.safetensors")
        logits.append(load_file(folder / "logits.safetensors")["logits"])
    between = (logits[0] - logits[1]).abs().max().item()
    with torch.no_grad():
        # In f32: bitsandbytes' own product on a CPU runs in bf16, which moves logits by 0.1.
        against = (dense(input_ids=batch).logits - logits[0]).abs().max().item()
    ok = not names_differ and not differ and kinds == {"Linear4bit"} and share < 0.01 and between < 2e-2 and (double or between == 0) and against < 1e-4
    print(f"{'ok ' if ok else 'BAD'} {'double' if double else 'plain'}: {len(a)} entries, names that differ {names_differ[:4]}, "
          f"bytes that differ {differ[:4]}, nested codes off {share:.2%}; transformers loads {kinds}; our logits of ours and theirs differ by {between:.1e}, "
          f"transformers' of ours by {against:.1e}")
    return ok


def main():
    results = []
    for double in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            results.append(check(double, pathlib.Path(folder)))
    print(f"bitsandbytes {bitsandbytes.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
