"""The optimizer, and checkpoints in the layout of `qlora train`: each side goes on from those of the other."""

import json
import os
import re
import shutil

import bitsandbytes
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

OPTIMIZER = "optimizer.safetensors"
RATE = "rate"
# Names of the moments in checkpoints: torch's, and bitsandbytes' for those of 8 bits.
WIDE = ("exp_avg", "exp_avg_sq")
NARROW = ("state1", "state2", "absmax1", "absmax2")


def make_optimizer(job, parameters, device):
    """AdamW with a group for every weight decay and factor of the learning rate."""
    options = job["options"]
    groups = {}
    for each in job["parameters"]:
        group = groups.setdefault((each["weight_decay"], each[RATE]), [])
        group.append(parameters[each["name"]])
    groups = [{"params": group, "weight_decay": decay, RATE: rate} for (decay, rate), group in groups.items()]
    settings = {"lr": options["learning_rate"], "eps": options["adam_epsilon"],
                "betas": (options["adam_beta1"], options["adam_beta2"])}
    if options["optim"] != "paged_adamw_8bit":
        return torch.optim.AdamW(groups, **settings)
    paged = device.type == "cuda"
    return (bitsandbytes.optim.PagedAdamW8bit if paged else bitsandbytes.optim.AdamW8bit)(groups, **settings)


def set_learning_rate(optimizer, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate * group[RATE]


def optimizer_tensors(optimizer, parameters):
    """The moments of every parameter, flat, by their names in checkpoints."""
    tensors = {}
    for name, parameter in parameters.items():
        state = optimizer.state.get(parameter) or {}
        narrow = "absmax1" in state
        keys = NARROW if narrow else WIDE if WIDE[0] in state else ("state1", "state2")
        for key, part in zip(keys, NARROW if narrow else WIDE):
            values = state.get(key, torch.zeros(parameter.shape))
            tensors[f"{name}.{part}"] = values.detach().flatten().cpu().clone()
    return tensors


def load_optimizer(optimizer, parameters, file):
    """Puts the moments of a checkpoint into the optimizer."""
    with safe_open(file, "pt") as opened:
        step = int(opened.metadata()["step"])
    tensors = load_file(file)
    is_torch = isinstance(optimizer, torch.optim.AdamW)
    for name, parameter in parameters.items():
        narrow = f"{name}.absmax1" in tensors
        if is_torch and narrow:
            raise SystemExit(f"{file}: moments of 8 bits, and the run has an optimizer of 32")
        shaped = lambda part: tensors[f"{name}.{part}"].reshape(parameter.shape).to(parameter.device)
        if is_torch:
            state = {"step": torch.tensor(float(step)), **{part: shaped(part) for part in WIDE}}
        elif narrow:
            maps = [optimizer.name2qmap[key].to(parameter.device) for key in ("dynamic", "udynamic")]
            scales = {part: tensors[f"{name}.{part}"].to(parameter.device) for part in NARROW[2:]}
            state = {"step": step, "state1": shaped("state1"), "state2": shaped("state2"), "qmap1": maps[0],
                     "qmap2": maps[1], **scales}
        else:
            state = {"step": step, "state1": shaped(WIDE[0]), "state2": shaped(WIDE[1])}
        optimizer.state[parameter] = state


def values_of(parameters):
    return {name: each.detach().cpu().clone() for name, each in parameters.items()}


def newest_checkpoint(out):
    """The checkpoint-N of the largest N in a folder; None: there is none."""
    found = [path for path in out.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return max(found, key=lambda path: int(path.name.split("-")[1]), default=None)


def read_checkpoint(folder):
    """Loop, figures and best adapter of a checkpoint, or of the start of a run."""
    read = lambda name: json.loads((folder / name).read_text())
    best = folder / "best_adapter.safetensors"
    return {"loop": read("run_state.json")["loop"], "figures": read("trainer_state.json"),
            "best": load_file(best) if best.exists() else None}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_checkpoint(start, folder, run, parameters, optimizer):
    """Writes a checkpoint beside its place and renames it into it."""
    temporary = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    shutil.copytree(start, temporary)
    save_file(values_of(parameters), temporary / "adapter_model.safetensors", {"format": "pt"})
    taken = run["loop"]["step"] - run["loop"]["skippedSteps"]
    save_file(optimizer_tensors(optimizer, parameters), temporary / OPTIMIZER, {"step": str(taken)})
    if run["best"] is not None:
        save_file({name: each.flatten() for name, each in run["best"].items()}, temporary / "best_adapter.safetensors")
    write_json(temporary / "run_state.json", {"format": 1, "loop": run["loop"]})
    write_json(temporary / "trainer_state.json", run["figures"])
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def rotate(out, limit, keep):
    """Removes the oldest checkpoints beyond the limit; the newest and the one of step `keep` stay."""
    folders = sorted(out.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    in_order = sorted(folders, key=lambda path: path.name == f"checkpoint-{keep}")
    for old in in_order[: max(0, len(folders) - (limit or len(folders)))]:
        if old != folders[-1]:
            shutil.rmtree(old)
