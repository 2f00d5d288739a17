"""Rebuilds apps/cli/fixtures/handed-over: a small run as it was exported, and what its train.py made of it.

    pnpm build
    pip install -r apps/cli/python/run/requirements.txt
    python tools/cluster/make_fixture.py

Two processes (accelerate, gloo, CPU), five steps of an adapter of rank 2 on the base packages/phi2-model/fixtures/hf-phi/dev-a, which
is left out of the fixture. Times and memory differ from run to run.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "apps/cli/fixtures/handed-over"
MODEL = ROOT / "packages/phi2-model/fixtures/hf-phi/dev-a"


def main():
    expected = json.loads((MODEL / "expected.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        rows, project = pathlib.Path(folder) / "rows.jsonl", pathlib.Path(folder) / "project"
        lines = []
        for ids, labels, mask in zip(expected["input_ids"], expected["labels"], expected["attention_mask"]):
            lines.append(json.dumps({"input_ids": ids[: sum(mask)], "labels": labels[: sum(mask)]}))
        rows.write_text("\n".join(lines * 2) + "\n")
        shutil.copytree(MODEL / "base", pathlib.Path(folder) / "dev-a")
        subprocess.run(["node", ROOT / "apps/cli/bin/qlora.js", "export-run", "--to", "accelerate", "--out", project, "--base", "dev-a",
                        "--data", "rows.jsonl", "--eval-split", "1", "--eval-steps", "2", "--max-steps", "5", "--r", "2", "--lora-dropout", "0",
                        "--target-modules", "q_proj", "--learning-rate", "0.01", "--per-device-train-batch-size", "1",
                        "--gradient-accumulation-steps", "2", "--no-load-in-4bit", "--copy-base", "--quiet"], check=True, cwd=folder)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        subprocess.run([sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                        "--mixed_precision", "no", "--dynamo_backend", "no", "train.py"], check=True, cwd=project, env=environment)
        shutil.rmtree(FIXTURE, ignore_errors=True)
        FIXTURE.mkdir(parents=True)
        for name in ("job.json", "rows.jsonl", "steps.jsonl", "eval_rows.jsonl"):
            shutil.copy(project / name, FIXTURE)
        shutil.copytree(project / "start", FIXTURE / "start", ignore=shutil.ignore_patterns("training_args.json"))
        shutil.copytree(project / "result", FIXTURE / "result", ignore=shutil.ignore_patterns("checkpoint-*", "__pycache__"))


if __name__ == "__main__":
    main()
