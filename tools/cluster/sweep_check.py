"""`qlora sweep --on ray` on a cluster of two workers here, one of which is killed in the middle of its trial.

    pnpm build
    pip install "ray==2.60.0"
    python tools/cluster/sweep_check.py         # about three minutes on two cores

The trials of a sweep on phi-nano are run one after the other, and as Ray tasks. The Ray worker of the first trial that
has saved a checkpoint is killed with SIGKILL; Ray must try the trial again, which goes on from that checkpoint, and the
adapters and the table must be those of the first sweep. Exits with 1 otherwise.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
QLORA = ["node", str(ROOT / "apps/cli/bin/qlora.js")]
DATA = ROOT / "packages/tutor-dataset/data/tutor_dataset.jsonl"


def trials_under_way(out):
    """Processes that train a trial, by its name: their process and that of the Ray worker which called them."""
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode().split("\0")
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        config = command[command.index("--config") + 1] if "--config" in command else ""
        if config.startswith(str(out)):
            found[pathlib.Path(config).parent.name] = (int(process.name), parent)
    return found


def kill_a_worker(out, running):
    """Kills the Ray worker of the first trial with a checkpoint; returns the trial, its worker and its step."""
    while running.poll() is None:
        for name, (pid, worker) in trials_under_way(out).items():
            steps = sorted(int(path.name.split("-")[1]) for path in (out / name / "adapter").glob("checkpoint-*"))
            if steps:
                os.kill(worker, signal.SIGKILL)
                time.sleep(0.2)
                alive = pathlib.Path(f"/proc/{pid}/stat")
                gone = not alive.exists() or alive.read_text().rsplit(")", 1)[1].split()[0] == "Z"
                return name, worker, steps[-1], gone
        time.sleep(0.02)
    sys.exit("the sweep ended before a worker could be killed")


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder).resolve()
        (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in DATA.read_text().splitlines()[:40]))
        spec = {"train": {"base": "phi-nano", "data": "rows.jsonl", "eval_split": 4, "max_steps": 20, "save_steps": 2,
                          "max_seq_length": 96, "truncation": "truncate", "per_device_train_batch_size": 2, "backend": "wasm"},
                "parameters": {"learning_rate": [1e-3, 3e-3], "r": [4, 8]}}
        (folder / "sweep.yaml").write_text(json.dumps(spec))
        here, there = folder / "here", folder / "there"
        subprocess.run([*QLORA, "sweep", "sweep.yaml", "--out", here, "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        began = time.perf_counter()
        running = subprocess.Popen([*QLORA, "sweep", "sweep.yaml", "--out", there, "--on", "ray", "--workers", "2", "--python",
                                    sys.executable, "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        name, worker, step, gone = kill_a_worker(there, running)
        print(f"killed Ray worker {worker} of {name} after its checkpoint of step {step}; its qlora {'ended' if gone else 'GOES ON'}")
        stdout, stderr = running.communicate()
        print(stderr.strip())
        if running.returncode:
            return 1
        document = json.loads(stdout)
        attempts = {path.parent.name: len(path.read_text().splitlines()) for path in there.glob("*/attempts.txt")}
        adapters = {path.parent.parent.name: path.read_bytes() for path in here.glob("trial-*/adapter/adapter_model.safetensors")}
        equal = [(there / each / "adapter/adapter_model.safetensors").read_bytes() == bytes for each, bytes in adapters.items()]
        losses = [[(each["name"], each["eval_loss"]) for each in results] for results in
                  (document["results"], json.loads((here / "results.json").read_text())["results"])]
        good = gone and attempts.pop(name) == 2 and set(attempts.values()) == {1} and all(equal) and len(equal) == 4
        good = good and losses[0] == losses[1] and document["complete"] and not document["failures"]
        print(f"{'ok ' if good else 'BAD'} {len(losses[0])} trials in {time.perf_counter() - began:.0f} s, one tried again; {sum(equal)} adapters "
              f"byte-identical to those of the sweep without Ray, tables {'equal' if losses[0] == losses[1] else 'NOT EQUAL'}")
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
