"""The configuration that `qlora export-run --to axolotl` writes, given to Axolotl's own loader.

    pnpm build
    python -m venv .venv && .venv/bin/pip install --no-deps axolotl==0.19.0
    .venv/bin/pip install torch transformers peft accelerate bitsandbytes addict colorama datasets python-dotenv fire art \
        posthog immutabledict numba trl
    .venv/bin/python tools/cluster/axolotl_check.py

Two runs, a plain one and one with most options, are exported. Every key must be one that Axolotl knows (its schema drops
others in silence), the values must stay what they are through `validate_config`, and the rows must be read as tokenized
already, in order. Nothing is trained: Axolotl 0.19 wants a CUDA GPU for that.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
ROOT = pathlib.Path(__file__).resolve().parents[2]
QLORA = ["node", str(ROOT / "apps/cli/bin/qlora.js")]
DATA = ROOT / "packages/tutor-dataset/data/tutor_dataset.jsonl"
RUNS = {
    "plain": [],
    "most options": ["--optim", "paged_adamw_8bit", "--lr-scheduler-type", "warmup_stable_decay", "--num-decay-steps", 5,
                     "--warmup-steps", 3, "--weight-decay", 0.1, "--loraplus-lr-ratio", 4, "--neftune-noise-alpha", 5, "--eval-split", 4,
                     "--eval-steps", 10, "--use-rslora", "--save-total-limit", 2, "--gradient-accumulation-steps", 2],
}


def main():
    import yaml
    from axolotl.utils.config import validate_config
    from axolotl.utils.data.wrappers import _is_dataset_already_tokenized
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.schemas.config import AxolotlInputConfig
    from datasets import load_dataset

    good = True
    for name, flags in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            project = pathlib.Path(folder) / "project"
            rows = pathlib.Path(folder) / "rows.jsonl"
            rows.write_text("".join(f"{line}\n" for line in DATA.read_text().splitlines()[:40]))
            subprocess.run([*QLORA, "export-run", "--base", "phi-nano", "--data", rows, "--to", "axolotl", "--out", project, "--quiet",
                            "--max-steps", "20", *map(str, flags)], check=True, stdout=subprocess.DEVNULL)
            os.chdir(project)
            written = yaml.safe_load((project / "config.yaml").read_text())
            unknown = [key for key in written if key not in AxolotlInputConfig.model_fields]
            checked = validate_config(DictDefault(written))
            changed = {key: (value, checked.get(key)) for key, value in written.items()
                       if key not in ("datasets", "test_datasets") and checked.get(key) != value}
            data = load_dataset("json", data_files="ordered_rows.jsonl", split="train")
            steps = [json.loads(line) for line in (project / "steps.jsonl").read_text().splitlines()]
            ours = [json.loads(line) for line in (project / "rows.jsonl").read_text().splitlines()]
            order = [row for step in steps for batch in step["micro_batches"] for row in batch]
            same = [data[i]["input_ids"] == ours[row]["input_ids"] and data[i]["labels"] == ours[row]["labels"] for i, row in enumerate(order)]
            fine = not unknown and not changed and _is_dataset_already_tokenized(data) and all(same) and len(data) == len(order)
            good &= fine
            print(f"{'ok ' if fine else 'BAD'} {name}: {len(written)} keys, unknown {unknown}, changed {changed}; {len(order)} rows in order")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
