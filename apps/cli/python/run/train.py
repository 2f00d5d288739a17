"""The run that `qlora export-run` wrote into this folder, with transformers, PEFT and bitsandbytes.

    python train.py                                             # one GPU, or a CPU
    accelerate launch --multi_gpu --num_processes 4 train.py    # four processes, a GPU each, or on the CPU

Each optimizer step takes the rows that steps.jsonl names, whatever the number of processes: they are dealt out,
gradients are summed over all of them and divided by the trained tokens of the whole step. A run that was stopped
goes on from the newest checkpoint in --out when the same command is given again.
"""

import argparse
import math
import pathlib
import platform
import shutil
import time
from importlib.metadata import version

import state
from data import PROJECT, check_base, read_job, read_lines
from history import History, after_evaluation, after_step
from worker import Worker

START = PROJECT / "start"
LOG = "train_log.jsonl"
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")


def parse(parser=None):
    parser = parser or argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="folder or Hub id of the base (default: where it was exported from)")
    parser.add_argument("--out", default=str(PROJECT / "result"), help="folder for the adapter")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16", "float16"], default="auto",
                        help="of the base and its products (default: bfloat16 on a GPU, float32 on a CPU)")
    return parser.parse_args()


def run(base, out, dtype):
    job, out = read_job(), pathlib.Path(out)
    options = job["options"]
    if (out / "adapter_config.json").exists():
        raise SystemExit(f"{out} holds a finished run; bring it home with qlora import-run, or give another --out")
    folder = state.newest_checkpoint(out) or START
    saved = state.read_checkpoint(folder)
    loop, best = saved["loop"], saved["best"]
    worker = Worker(job, check_base(job, base), dtype, folder)
    main = worker.accelerator.is_main_process
    out.mkdir(parents=True, exist_ok=True)
    history = History(out / LOG, (START if folder == START else out) / LOG, saved["figures"], main)
    if main:
        print(f"{worker.accelerator.num_processes} processes on {worker.device.type} in {worker.dtype}, from {folder}", flush=True)
    rows, held = read_lines("rows.jsonl"), read_lines("eval_rows.jsonl")
    patience, total = options["early_stopping_patience"], job["total_steps"]
    ends_with_best = options["load_best_model_at_end"] or patience > 0
    due = lambda every: every and number % every == 0
    began = time.perf_counter()
    for planned in read_lines("steps.jsonl"):
        number, epoch, rate = planned["step"], planned["epoch"], planned["learning_rate"]
        if number <= loop["step"] or (patience and loop["evaluationsSinceBest"] >= patience):
            continue
        started = time.perf_counter()
        taken = [rows[i] for micro_batch in planned["micro_batches"] for i in micro_batch]
        loss, norm = worker.step(number, taken, rate)
        loop = after_step(loop, loss, not math.isfinite(norm))
        entry = {"step": number, "epoch": epoch, "loss": loss, "grad_norm": norm, "learning_rate": rate,
                 "tokens": sum(len(row["input_ids"]) for row in taken), "seconds": time.perf_counter() - started}
        record = history.step(entry, number == total or due(options["logging_steps"]), worker.memory())
        if held and (number == total or due(options["eval_steps"])):
            loop = after_evaluation(loop, held_loss := worker.evaluate(held))
            is_best = loop["best"]["step"] == number
            evaluated = history.evaluation(number, epoch, held_loss, is_best)
            record = record and {**record, **evaluated}
            best = state.values_of(worker.parameters) if is_best and ends_with_best else best
        if record:
            history.write(record)
        if main:
            print(f"step {number}/{total}  loss {loss:.4f}  learning_rate {rate:.3g}", flush=True)
        if loop["skippedInARow"] >= options["max_skipped_steps"]:
            raise SystemExit(f"step {number}: loss or gradients were not finite {loop['skippedInARow']} steps in a row; "
                             "lower learning_rate")
        if main and number < total and due(options["save_steps"]):
            now = {"loop": loop, "figures": history.figures, "best": best}
            state.write_checkpoint(START, out / f"checkpoint-{number}", now, worker.parameters, worker.optimizer)
            state.rotate(out, options.get("save_total_limit"), loop["best"]["step"] if ends_with_best and loop["best"] else None)
    if main:
        values = state.values_of(worker.parameters)
        if ends_with_best and best:
            values = {name: best[name].reshape(value.shape) for name, value in values.items()}
        finish(out, values, loop, history.figures, {
            "run": job["run"], "seconds": time.perf_counter() - began, "processes": worker.accelerator.num_processes,
            "device": worker.device.type, "dtype": str(worker.dtype).removeprefix("torch."), "memory_bytes": worker.memory(),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}})
    worker.accelerator.wait_for_everyone()


def finish(out, values, loop, figures, summary):
    """The finished adapter, and what import-run checks; adapter_config.json comes last."""
    state.save_file(values, out / "adapter_model.safetensors", {"format": "pt"})
    state.write_json(out / "run_state.json", {"format": 1, "loop": loop})
    state.write_json(out / "trainer_state.json", figures)
    state.write_json(out / "run.json", {"format": 1, **summary})
    shutil.copy(START / "adapter_config.json", out)
    print(f"finished: qlora import-run {PROJECT} --result {out} --out ADAPTER_FOLDER brings it home", flush=True)


if __name__ == "__main__":
    run(**vars(parse()))
