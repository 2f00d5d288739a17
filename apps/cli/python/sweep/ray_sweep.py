"""The trials of `qlora sweep --on ray`: each is a Ray task that calls the command.

Reads a plan (JSON) from stdin and writes a line of JSON for every trial that ended to stdout, all else to stderr.
A task whose worker dies is tried again by Ray; `qlora train` then goes on from its newest checkpoint.
"""

import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import uuid

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    import ray
except ImportError as error:
    sys.exit(f"{sys.executable}: {error}")

ATTEMPTS = "attempts.txt"
LOCK = "adapter/.qlora.lock"


class CommandKilled(Exception):
    """The command was ended by a signal: its machine is at fault, not its options."""


def die_with_worker():
    """The command ends with the Ray worker that called it, so that the next attempt finds its folder free (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def attempts_of(folder, token):
    """Attempts of this sweep at a trial: where they ran."""
    path = pathlib.Path(folder) / ATTEMPTS
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [host for each, host in lines if each == token]


def run(trial, cwd, token):
    folder, host = pathlib.Path(trial["folder"]), socket.gethostname()
    earlier = attempts_of(folder, token)
    if earlier and earlier[-1] != host:
        # Its process died with its machine, whose lock cannot be judged from here.
        (folder / LOCK).unlink(missing_ok=True)
    with (folder / ATTEMPTS).open("a") as file:
        file.write(f"{token} {host}\n")
    done = subprocess.run(trial["command"], cwd=cwd, capture_output=True, text=True, preexec_fn=die_with_worker)
    if done.returncode < 0:
        raise CommandKilled(f"ended by signal {-done.returncode}: {done.stderr[-2000:]}")
    return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def main():
    plan = json.load(sys.stdin)
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    address = plan["address"] or os.environ.get("RAY_ADDRESS")
    here = {} if address else {"num_cpus": plan["workers"] * plan["cpus"], "include_dashboard": False}
    ray.init(address=address, log_to_driver=plan["verbose"], logging_level="WARNING", **here)
    token = uuid.uuid4().hex
    task = ray.remote(num_cpus=plan["cpus"], num_gpus=plan["gpus"], max_retries=plan["max_retries"],
                      retry_exceptions=[CommandKilled])(run)

    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    pending = {task.remote(trial, plan["cwd"], token): trial for trial in plan["trials"]}
    try:
        while pending:
            [ready], _ = ray.wait(list(pending), num_returns=1)
            trial = pending.pop(ready)
            try:
                ended = ray.get(ready)
            except Exception as error:  # what is left after the last retry
                ended = {"code": None, "stdout": "", "stderr": str(error)}
            attempts = len(attempts_of(trial["folder"], token))
            print(json.dumps({"name": trial["name"], "attempts": attempts, **ended}), file=results, flush=True)
    except KeyboardInterrupt:
        for each in pending:
            ray.cancel(each, force=True)
        sys.exit(130)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
