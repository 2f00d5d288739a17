"""Runs that `qlora export-run` hands over, taken by the exported projects and by `qlora train`: the losses must agree.

    pnpm build
    pip install -r apps/cli/python/run/requirements.txt "ray[train]==2.60.0"
    python tools/cluster/check.py [CASE ...]        # all cases: about ten minutes on two cores

phi-nano, 20 steps of 2 x 2 chats of up to 128 tokens, no dropout, on the CPU. Every case trains with qlora, exports,
runs the project, brings the adapter home with `qlora import-run` and lets it answer. Exits with 1 when a loss of a step
is more than a case's limit away from ours, or when the answers differ.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
QLORA = ["node", str(ROOT / "apps/cli/bin/qlora.js")]
DATA = ROOT / "packages/tutor-dataset/data/tutor_dataset.jsonl"
ENV = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
QUESTION = "¿Qué es una pila?"

COMMON = {"base": "phi-nano", "max_steps": 20, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2,
          "learning_rate": 2e-3, "lr_scheduler_type": "cosine", "warmup_steps": 2, "lora_dropout": 0, "save_steps": 10,
          "max_seq_length": 128, "truncation": "truncate", "backend": "wasm", "threads": 1}
F32 = {**COMMON, "load_in_4bit": False}
ONE = ["{python}", "train.py"]
TWO = ["{python}", "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
       "--dynamo_backend", "no", "train.py"]
RAY = ["{python}", "train_ray.py", "--workers", "2", "--no-gpu"]
EIGHT = {**F32, "optim": "paged_adamw_8bit"}
UNUSUAL = {**F32, "use_rslora": True, "target_modules": "q_proj,fc1,fc2", "rank_pattern": {"fc1": 4}, "packing": True,
           "loraplus_lr_ratio": 4, "weight_decay": 0.1, "eval_split": 4, "eval_steps": 5, "load_best_model_at_end": True,
           "per_device_train_batch_size": 3, "max_steps": -1, "num_train_epochs": 2.5}
DORA = {**COMMON, "use_dora": True, "modules_to_save": "final_layernorm", "max_steps": 8, "save_steps": 0}

# name: options, command, whether the project goes on from our checkpoint of step 10, limit of the relative difference
CASES = {
    "accelerate, 2 processes": (F32, TWO, False, 1e-4),
    "Ray Train, 2 workers": (F32, RAY, False, 1e-4),
    "1 process, NF4": (COMMON, ONE, False, 1e-4),
    "accelerate, NF4, 2 processes": (COMMON, TWO, False, 1e-4),
    "accelerate, 2 processes, after step 10": (F32, TWO, True, 1e-4),
    "Ray Train, 2 workers, after step 10": (F32, RAY, True, 1e-4),
    "1 process, 8-bit moments": (EIGHT, ONE, False, 1e-2),
    "1 process, 8-bit moments, after step 10": (EIGHT, ONE, True, 1e-2),
    "2 processes, packing, rsLoRA, LoRA+, decay, best of evaluations": (UNUSUAL, TWO, False, 1e-4),
    "1 process, products in bfloat16": (COMMON, [*ONE, "--dtype", "bfloat16"], False, 2e-2),
    "1 process, NF4, DoRA, a layer norm trained whole": (DORA, ONE, False, 1e-4),
}


def call(command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=ENV, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def flags(options):
    """Options as flags: in a configuration file --out would be the same for both verbs, too."""
    text = lambda value: ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    for key, value in options.items():
        flag = key.replace("_", "-")
        yield from [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", text(value)]


def log(folder):
    return [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]


def apart(ours, theirs, key):
    return max(abs(a[key] - b[key]) / max(abs(a[key]), 1e-12) for a, b in zip(ours, theirs) if a[key])


def largest_gap(a, b):
    """Largest difference between two adapters, relative to the largest value of the tensor."""
    a, b = (load_file(folder / "adapter_model.safetensors") for folder in (a, b))
    return max(float(abs(a[name] - b[name]).max() / abs(a[name]).max()) for name in a)


def answer(adapter):
    return call([*QLORA, "ask", QUESTION, "--adapter", adapter, "--max-new-tokens", 24, "--backend", "wasm", "--quiet"])


def check(name, options, command, resumes, limit, folder, trained):
    data, project, home = folder / "rows.jsonl", folder / "project", folder / "home"
    data.write_text("".join(f"{line}\n" for line in DATA.read_text().splitlines()[:60]))
    key = json.dumps(options)
    if key not in trained:
        trained[key] = pathlib.Path(tempfile.mkdtemp()) / "ours"
        call([*QLORA, "train", *flags(options), "--data", data, "--out", trained[key], "--quiet"])
    ours = trained[key]
    target = "ray" if command is RAY else "accelerate"
    after = ["--resume-from-checkpoint", ours / "checkpoint-10"] if resumes else []
    call([*QLORA, "export-run", *flags(options), "--data", data, "--out", project, "--to", target, "--quiet", *after])
    call([part.format(python=sys.executable) for part in command], cwd=project)
    call([*QLORA, "import-run", project, "--out", home])
    mine, theirs = log(ours), log(project / "result")
    off = {key: apart(mine, theirs, key) for key in ("loss", "grad_norm", "learning_rate")}
    held = apart(*([e for e in each if "eval_loss" in e] for each in (mine, theirs)), "eval_loss") if "eval_split" in options else None
    same = len(mine) == len(theirs) and [e["tokens"] for e in mine] == [e["tokens"] for e in theirs]
    said = [answer(each) for each in (ours, home)]
    # Products in bfloat16 make another adapter.
    said_same = said[0] == said[1] or "bfloat16" in name
    good = same and max(off["loss"], held or 0) <= limit and off["learning_rate"] < 1e-12 and said_same
    print(f"{'ok ' if good else 'BAD'} {name}: {len(theirs)} steps, loss {mine[0]['loss']:.4f} -> {mine[-1]['loss']:.4f}, off by "
          f"{100 * off['loss']:.2g} % at most, gradient norms by {100 * off['grad_norm']:.2g} %, adapters by "
          f"{largest_gap(ours, home):.1e}" + (f", held-out losses by {100 * held:.2g} %" if held is not None else "")
          + ("" if said_same else f"; ANSWERS DIFFER: {said}"), flush=True)
    return good


def check_way_back(folder, trained):
    """A checkpoint of the project's train.py: `qlora train` goes on from it."""
    data, project, out = folder / "rows.jsonl", folder / "project", folder / "back"
    data.write_text("".join(f"{line}\n" for line in DATA.read_text().splitlines()[:60]))
    good = True
    for options, limit in ((F32, 1e-4), (EIGHT, 1e-2)):
        ours = trained.setdefault(json.dumps(options), folder / f"ours-{options.get('optim', '')}")
        if not ours.exists():
            call([*QLORA, "train", *flags(options), "--data", data, "--out", ours, "--quiet"])
        call([*QLORA, "export-run", *flags(options), "--data", data, "--out", project, "--to", "accelerate", "--quiet", "--overwrite"])
        call([sys.executable, "train.py", "--out", out / "theirs"], cwd=project)
        call([*QLORA, "train", *flags(options), "--data", data, "--out", out / "ours", "--quiet",
              "--resume-from-checkpoint", out / "theirs/checkpoint-10"])
        mine, back = log(ours), log(out / "ours")
        off = apart(mine, back, "loss")
        good &= len(back) == len(mine) and off <= limit
        print(f"{'ok ' if off <= limit else 'BAD'} qlora train after step 10 of train.py, {options.get('optim', 'adamw')}: losses off by "
              f"{100 * off:.2g} % at most, adapters by {largest_gap(ours, out / 'ours'):.1e}", flush=True)
        call(["rm", "-r", out])
    return good


def descendants(root):
    """Processes that a process started, and theirs: their numbers and what they were called with."""
    parents, calls = {}, {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            calls[int(process.name)] = (process / "cmdline").read_bytes().decode()
        except OSError:
            continue
    found = [root]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return {each: calls.get(each, "") for each in found}


def check_killed(folder, trained):
    """A project whose process, or one of whose two Ray workers, is killed after step 12: it goes on from step 10."""
    data, good = folder / "rows.jsonl", True
    data.write_text("".join(f"{line}\n" for line in DATA.read_text().splitlines()[:60]))
    ours = trained.setdefault(json.dumps(F32), folder / "ours")
    if not ours.exists():
        call([*QLORA, "train", *flags(F32), "--data", data, "--out", ours, "--quiet"])
    for name, command in {"train.py": ONE, "a worker of train_ray.py": RAY}.items():
        project = folder / name.replace(" ", "-")
        target = "ray" if command is RAY else "accelerate"
        call([*QLORA, "export-run", *flags(F32), "--data", data, "--out", project, "--to", target, "--quiet"])
        command = [part.format(python=sys.executable) for part in command]
        with (folder / "output").open("w") as output:
            running = subprocess.Popen(command, cwd=project, env=ENV, stdout=output, stderr=output)
            steps = project / "result/train_log.jsonl"
            while running.poll() is None and not (steps.exists() and len(steps.read_text().splitlines()) >= 12):
                time.sleep(0.05)
            workers = [each for each, called in descendants(running.pid).items() if "RayTrainWorker" in called]
            os.kill(workers[-1] if target == "ray" else running.pid, signal.SIGKILL)
            running.wait()
        again = (project / "result/adapter_config.json").exists()
        if not again:
            call(command, cwd=project)
        mine, theirs = log(ours), log(project / "result")
        off = apart(mine, theirs, "loss")
        fine = len(theirs) == len(mine) and off <= 1e-4 and again == (target == "ray")
        good &= fine
        how = "Ray started it again" if again else "the command was given again"
        print(f"{'ok ' if fine else 'BAD'} killed {name}: {how}; {len(theirs)} steps, losses off by {100 * off:.2g} % at most, adapters by "
              f"{largest_gap(ours, project / 'result'):.1e}", flush=True)
    return good


def main():
    wanted = sys.argv[1:]
    trained, results = {}, []
    for name, case in CASES.items():
        if not wanted or any(each in name for each in wanted):
            with tempfile.TemporaryDirectory() as folder:
                results.append(check(name, *case, pathlib.Path(folder), trained))
    if not wanted or "back" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            results.append(check_way_back(pathlib.Path(folder), trained))
    if not wanted or "killed" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            results.append(check_killed(pathlib.Path(folder).resolve(), trained))
    packages = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "ray")
    print(", ".join(f"{each} {version(each)}" for each in packages))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
