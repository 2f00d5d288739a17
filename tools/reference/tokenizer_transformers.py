"""Writes what transformers itself makes of phi-nano's tokenizer with the tutor format.

usage: python tools/reference/tokenizer_transformers.py   (needs transformers)

The four markers are added by transformers, not by qlorajs. Writes
packages/tokenizer/fixtures/phi-nano-files.json: SHA-256 of tokenizer.json, vocab.json and merges.txt as saved, and
packages/dataset/fixtures/phi-nano-chats.json: ids and assistant masks of apply_chat_template for some chats.
"""

import hashlib
import json
import tempfile
from pathlib import Path

import tokenizers
import transformers
from tokenizer_chats import CHATS, FIXTURES
from transformers import AddedToken, AutoTokenizer

ROOT = Path(__file__).parents[2]
MARKERS = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
SOURCE = f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"source": SOURCE, **value}, indent=1) + "\n")


tokenizer = AutoTokenizer.from_pretrained(ROOT / "packages/phi-nano/model")
tokenizer.add_tokens([AddedToken(marker, special=True, normalized=False) for marker in MARKERS], special_tokens=True)
tokenizer.chat_template = (FIXTURES / "templates/tutor.jinja").read_bytes().decode()

with tempfile.TemporaryDirectory() as saved:
    tokenizer.save_pretrained(saved)
    tokenizer.backend_tokenizer.model.save(saved)
    files = ["tokenizer.json", "vocab.json", "merges.txt"]
    hashes = {file: hashlib.sha256(Path(saved, file).read_bytes()).hexdigest() for file in files}
write(ROOT / "packages/tokenizer/fixtures/phi-nano-files.json", {"sha256": hashes})

chats = []
for name, messages in CHATS.items():
    if any(message["role"] not in ("system", "user", "assistant") for message in messages) or not messages:
        continue
    encoded = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    chats.append(
        {
            "name": name,
            "messages": messages,
            "input_ids": encoded["input_ids"],
            "assistant_masks": encoded["assistant_masks"],
        }
    )
write(ROOT / "packages/dataset/fixtures/phi-nano-chats.json", {"chats": chats})
print(len(chats), "chats,", hashes)
