"""Greedy answers of the personalities on phi-nano, by `qlora ask` and by PEFT and transformers' `generate`, in f32.

    python tools/reference/answers_check.py [TOKENS]

Prompts are rendered by each side's own chat template from the adapter's folder. Ends with 1 where an answer differs.
"""

import json
import pathlib
import subprocess
import sys

import torch
import transformers
from peft import PeftModel
from transformers import AutoTokenizer, PhiForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
NANO = ROOT / "packages/phi-nano/model"
QUESTIONS = ["¿Qué es una cola?", "¿Cómo cuento los productos?", "Cuéntame un cuento sobre una luna.",
             "¿Para qué sirve una tabla hash?"]


def ours(adapter, question, tokens):
    out = subprocess.run(
        ["node", ROOT / "apps/cli/bin/qlora.js", "ask", question, "--base", NANO, "--adapter", adapter, "--json",
         "--max-new-tokens", str(tokens), "--no-load-in-4bit", "--backend", "wasm", "--system", ""],
        check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def main(tokens):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    failed = False
    for name in ("tutor", "sql", "stories"):
        adapter = ROOT / "packages/personalities/adapters" / name
        tokenizer = AutoTokenizer.from_pretrained(adapter)
        base = PhiForCausalLM.from_pretrained(NANO, dtype=torch.float32, attn_implementation="eager")
        model = PeftModel.from_pretrained(base, adapter).eval()
        stops = [tokenizer.convert_tokens_to_ids("<|end|>"), tokenizer.eos_token_id]
        for question in QUESTIONS:
            chat = [{"role": "user", "content": question}]
            ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
            with torch.no_grad():
                out = model.generate(**ids, do_sample=False, max_new_tokens=tokens, eos_token_id=stops,
                                     pad_token_id=stops[0], suppress_tokens=None)[0]
            said = out[ids["input_ids"].shape[1]:].tolist()
            text = tokenizer.decode([id for id in said if id not in stops], skip_special_tokens=True)
            own = ours(adapter, question, tokens)
            same = own["answer"] == text and own["prompt_tokens"] == ids["input_ids"].shape[1]
            failed |= not same
            print(f"{name:8} {question:36} {len(said):4} tokens  {'equal' if same else 'DIFFERENT'}")
            if not same:
                print("  ours  ", repr(own["answer"]), own["prompt_tokens"])
                print("  theirs", repr(text), ids["input_ids"].shape[1])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 120))
