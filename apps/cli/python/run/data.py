"""What `qlora export-run` wrote down: the job, its optimizer steps, and rows of tokens with their labels."""

import hashlib
import json
import pathlib

import torch
from torch.nn import functional

PROJECT = pathlib.Path(__file__).resolve().parent
IGNORED = -100


def read_job():
    """job.json; the files that it lists must be those that were exported."""
    job = json.loads((PROJECT / "job.json").read_text())
    for name, expected in job["files"].items():
        if hashlib.sha256((PROJECT / name).read_bytes()).hexdigest() != expected:
            raise SystemExit(f"{PROJECT / name} is not the file that was exported; export the run again")
    return job


def fingerprint(path):
    """As qlora's: SHA-256 of a file; of one above 64 MiB, of its size and of 1,024 pieces spread over it."""
    size, piece = path.stat().st_size, 4096
    if size <= 64 << 20:
        return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256(f"{size}\n".encode())
    with path.open("rb") as file:
        for i in range(1024):
            file.seek(int(i * (size - piece) / 1023))
            digest.update(file.read(piece))
    return "sampled-sha256:" + digest.hexdigest()


def check_base(job, given):
    """Path or Hub id of the base; a folder's weights must be those that the run was exported with."""
    path = pathlib.Path(given) if given else PROJECT / job["base"]["path"]
    if not path.is_dir():
        return given or job["base"]["path"]
    for name, expected in job["base"]["files"].items():
        if (path / name).exists() and (name == "config.json" or name.endswith(".safetensors")):
            if fingerprint(path / name) != expected:
                raise SystemExit(f"{path / name} is not that of {job['base']['name']}, which the run was exported with")
    return str(path)


def read_lines(name):
    """The values of a JSONL file of the project; none if it has no such file."""
    path = PROJECT / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def trained_tokens(rows):
    """Tokens that carry a loss: the first of a row has nothing before it to be predicted from."""
    return sum(label != IGNORED for row in rows for label in row["labels"][1:])


def collate(rows, pad_id, device, dtype):
    """Rows as tensors [B, T], padded on the right; documents that share a row do not see each other."""
    length = max(len(row["input_ids"]) for row in rows)

    def padded(of, fill):
        return torch.tensor([of(row) + [fill] * (length - len(row["input_ids"])) for row in rows], device=device)

    batch = {
        "input_ids": padded(lambda row: row["input_ids"], pad_id),
        "labels": padded(lambda row: row["labels"], IGNORED),
        "attention_mask": padded(lambda row: [1] * len(row["input_ids"]), 0),
    }
    if any("documents" in row for row in rows):
        lengths = lambda row: row.get("documents", [len(row["input_ids"])])
        batch["position_ids"] = padded(lambda row: [at for size in lengths(row) for at in range(size)], 0)
        document = padded(lambda row: [i for i, size in enumerate(lengths(row)) for _ in range(size)], -1)
        seen = (document[:, :, None] == document[:, None, :]).tril()
        hidden = torch.finfo(dtype).min
        batch["attention_mask"] = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill(~seen, hidden)[:, None]
    return batch


def summed_loss(model, batch):
    """Cross-entropy over the trained tokens of a batch, summed, in float32."""
    labels = batch.pop("labels")
    logits = model(**batch, use_cache=False).logits[:, :-1].float()
    return functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum")
