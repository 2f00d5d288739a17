"""Checks that TensorBoard reads the event files of `qlora train --report-to tensorboard`.

    python tools/reference/tensorboard_check.py OUT    # an output folder: its scalars must be those of train_log.jsonl
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

out = pathlib.Path(sys.argv[1])
events = EventAccumulator(str(out / "runs"), size_guidance={"scalars": 0})
events.Reload()
log = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
wrong = 0
for tag, key in [("train/loss", "loss"), ("train/learning_rate", "learning_rate"), ("train/grad_norm", "grad_norm"),
                 ("eval/loss", "eval_loss"), ("eval/perplexity", "eval_perplexity")]:
    wanted = {line["step"]: line[key] for line in log if line.get(key) is not None}
    found = {event.step: event.value for event in events.Scalars(tag)} if wanted else {}
    off = max((abs(found.get(step, float("inf")) - value) / max(1e-9, abs(value)) for step, value in wanted.items()), default=0)
    wrong += off > 1e-6 or set(found) != set(wanted)
    print(f"{tag}: {len(found)} of {len(wanted)} steps, largest relative difference {off:.1e}")
print("tags", sorted(events.Tags()["scalars"]))
sys.exit(1 if wrong else 0)
