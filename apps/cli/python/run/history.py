"""What a run tells of its steps, in the lines and names of qlora train."""

import json
import math


def finite(value):
    """JSON knows no NaN: null."""
    return value if math.isfinite(value) else None


def after_step(loop, loss, skipped):
    """Where a run stands after a step; `skipped`: nothing was changed, since something was not finite."""
    return {**loop, "step": loop["step"] + 1, "lossSum": loop["lossSum"] + (0 if skipped else loss),
            "skippedSteps": loop["skippedSteps"] + skipped, "skippedInARow": loop["skippedInARow"] + 1 if skipped else 0}


def after_evaluation(loop, loss):
    is_best = loop["best"] is None or loss < loop["best"]["loss"]
    return {**loop, "best": {"step": loop["step"], "loss": loss} if is_best else loop["best"],
            "evaluationsSinceBest": 0 if is_best else loop["evaluationsSinceBest"] + 1}


class History:
    """train_log.jsonl, and the figures of trainer_state.json."""

    def __init__(self, path, earlier, figures, writes):
        lines = earlier.read_text().splitlines() if earlier.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= figures["global_step"]]
        self.path, self.figures, self.writes, self.window = path, figures, writes, []
        if writes:
            path.write_text("".join(f"{line}\n" for line in kept))

    def step(self, entry, is_logged, memory):
        """Takes a step; returns the line to log, if it is one to log."""
        figures = self.figures
        figures.update(global_step=entry["step"], epoch=entry["epoch"],
                       num_input_tokens_seen=figures["num_input_tokens_seen"] + entry["tokens"])
        self.window.append(entry)
        if not is_logged:
            return None
        losses = [each["loss"] for each in self.window if math.isfinite(each["grad_norm"])]
        tokens, seconds = (sum(each[key] for each in self.window) for key in ("tokens", "seconds"))
        record = {"step": entry["step"], "epoch": entry["epoch"], "loss": sum(losses) / len(losses) if losses else None,
                  "grad_norm": finite(entry["grad_norm"]), "learning_rate": entry["learning_rate"], "tokens": tokens,
                  "tokens_per_second": tokens / seconds, "memory_bytes": memory}
        if len(losses) < len(self.window):
            record["skipped_steps"] = len(self.window) - len(losses)
        self.window = []
        figures["log_history"].append({key: record[key] for key in ("epoch", "grad_norm", "learning_rate", "loss", "step")})
        return record

    def evaluation(self, step, epoch, loss, is_best):
        """Takes an evaluation; returns what it adds to the line of its step."""
        evaluated = {"eval_loss": loss, "eval_perplexity": math.exp(loss)}
        self.figures["log_history"].append({"epoch": epoch, "step": step, **evaluated})
        if is_best:
            self.figures.update(best_metric=loss, best_global_step=step)
        return evaluated

    def write(self, record):
        if self.writes:
            with self.path.open("a") as file:
                file.write(f"{json.dumps(record)}\n")
