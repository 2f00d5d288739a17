"""Checks with transformers what `node packages/tokenizer/scripts/fuzz.mjs COUNT SEED OUT` left in OUT.

usage: python tools/reference/tokenizer_fuzz.py OUT   (needs transformers)

For each folder of OUT: AutoTokenizer loads it, gives the same ids and offsets for every text of texts.jsonl and
decodes them back, and saves the same tokenizer.json, vocab.json and merges.txt.
"""

import json
import sys
import tempfile
from pathlib import Path

import tokenizers
import transformers
from transformers import AutoTokenizer


def utf16(text):
    units = [0]
    for character in text:
        units.append(units[-1] + (2 if ord(character) > 0xFFFF else 1))
    return units


print("transformers", transformers.__version__, "tokenizers", tokenizers.__version__)
failed = False
for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    backend = tokenizer.backend_tokenizer
    count = differ = 0
    with open(folder / "texts.jsonl", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            encoding = backend.encode(row["text"], add_special_tokens=False)
            units = utf16(row["text"])
            offsets = [[units[a], units[b]] for a, b in encoding.offsets]
            back = backend.decode(row["ids"], skip_special_tokens=False)
            count += 1
            if encoding.ids != row["ids"] or offsets != row["offsets"] or back != row["text"]:
                differ += 1
                if differ <= 5:
                    print("DIFFERS", json.dumps(row["text"]), encoding.ids, row["ids"])
    with tempfile.TemporaryDirectory() as saved:
        backend.save(f"{saved}/tokenizer.json", pretty=True)
        backend.model.save(saved)
        files = ["tokenizer.json", "vocab.json", "merges.txt"]
        same = {file: Path(saved, file).read_bytes() == (folder / file).read_bytes() for file in files}
    print(folder.name, type(tokenizer).__name__, f"{count} texts, {differ} differ; files the same:", same)
    failed |= differ > 0 or not all(same.values())
sys.exit(failed)
