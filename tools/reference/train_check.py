"""Folders that `qlora train` writes, loaded by PEFT: the logits must be ours.

    python tools/reference/train_check.py        # after `npm test` or `pnpm build`

Trains phi-nano for three steps in six ways (added tokens trained, frozen or absent, rsLoRA, fc1
and fc2, rank and alpha patterns), runs `qlora logits` and PeftModel on the same ids, and loads the tokenizer files with
AutoTokenizer. Exits with 1 when logits differ by more than 1e-4 or ids differ.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import peft
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoTokenizer, PhiForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
QLORA = ["node", str(ROOT / "apps/cli/bin/qlora.js")]
BASE = ROOT / "packages/phi-nano/model"
LIMIT = 1e-4

CHAT = [{"role": "system", "content": "Eres un tutor."}, {"role": "user", "content": "¿Qué es una pila?"},
        {"role": "assistant", "content": "📌 **Pila**\n\nEl último que entra sale primero."}]
CHATS = [json.dumps({"messages": CHAT}, ensure_ascii=False)] * 8
IDS = [json.dumps({"input_ids": list(range(20 + i, 60 + i)), "labels": [-100] * 5 + list(range(25 + i, 60 + i))})
       for i in range(8)]
RUNS = {
    "added tokens": (CHATS, []),
    "no added tokens": (IDS, []),
    "rsLoRA": (CHATS, ["--use-rslora", "--r", "8"]),
    "fc1 and fc2": (CHATS, ["--target-modules", "q_proj,fc1,fc2", "--r", "4"]),
    "rank and alpha patterns": (CHATS, ["--target-modules", "q_proj,v_proj,fc1", "--rank-pattern",
                                        "fc1=4,layers.0.self_attn.q_proj=32", "--alpha-pattern", "fc1=16"]),
    "added tokens frozen": (CHATS, ["--no-train-added-tokens"]),
}


def qlora(*arguments, **options):
    return subprocess.run([*QLORA, *map(str, arguments)], check=True, capture_output=True, text=True, **options)


def check(name, rows, flags, folder):
    data, out, ids = folder / "rows.jsonl", folder / "out", folder / "ids.json"
    data.write_text("\n".join(rows) + "\n")
    qlora("train", "--base", "phi-nano", "--data", data, "--out", out, "--max-steps", 3, "--learning-rate", "5e-3",
          "--lora-dropout", 0, "--quiet", *flags)
    generator = torch.Generator().manual_seed(1)
    batch = torch.randint(0, 8196, (2, 32), generator=generator)
    mask = torch.ones_like(batch)
    mask[1, 20:] = 0
    ids.write_text(json.dumps({"input_ids": batch.tolist(), "attention_mask": mask.tolist()}))
    qlora("logits", "--base", "phi-nano", "--adapter", out, "--ids", ids, "--out", folder / "logits.safetensors")
    ours = load_file(folder / "logits.safetensors")["logits"]
    base = PhiForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        plain = base(input_ids=batch, attention_mask=mask).logits
        theirs = PeftModel.from_pretrained(base, out).eval()(input_ids=batch, attention_mask=mask).logits
    off = (ours - theirs).abs().max().item()
    effect = (theirs - plain).abs().max().item()
    same = True
    if (out / "tokenizer.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(out)
        text = CHAT[2]["content"]
        if tokenizer.chat_template:
            text = tokenizer.apply_chat_template(CHAT, tokenize=False)
        stdout = qlora("tokenize", "--base", BASE, "--adapter", out, "--json", input=text).stdout
        same = json.loads(stdout)["ids"] == tokenizer(text)["input_ids"]
    ok = off < LIMIT and same and effect > 10 * LIMIT
    print(f"{'ok ' if ok else 'BAD'} {name:24s} logits off by {off:.2e} (the adapter moves them by {effect:.2e})"
          f"{'' if same else ', TOKEN IDS DIFFER'}")
    return ok


def main():
    results = []
    for name, (rows, flags) in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                results.append(check(name, rows, flags, pathlib.Path(folder)))
            except subprocess.CalledProcessError as error:
                sys.exit(f"{name}: {' '.join(error.cmd)} ended with {error.returncode}\n{error.stderr}")
    print(f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
