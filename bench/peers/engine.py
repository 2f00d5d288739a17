"""Python's engine of the benchmarks: python engine.py '{"part":"step",...}', then JSON lines as `bench/cpu/engine/main.ts`."""

import json
import os
import sys
import traceback

# Libraries print; the answers have the original stdout to themselves.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import torch  # noqa: E402
import transformers  # noqa: E402
import peft  # noqa: E402
import bitsandbytes  # noqa: E402
from measure import peak_bytes  # noqa: E402

import_bytes = peak_bytes()
start = json.loads(sys.argv[1])
torch.set_num_threads(start["threads"])
torch.set_num_interop_threads(1)


def make_part():
    if start["part"] == "gemm":
        from gemm import Gemm

        return Gemm(start)
    if start["part"] == "step":
        from step import Step

        return Step(start)
    from decode import Decode

    return Decode(start)


def facts():
    config = torch.__config__.show()
    blas = [word for word in config.replace(",", " ").split() if word.startswith("BLAS_INFO=")]
    capability = [line.strip(" -") for line in config.splitlines() if "CPU capability" in line]
    return {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "bitsandbytes": bitsandbytes.__version__,
        "threads": torch.get_num_threads(),
        "blas": " ".join([*blas, *capability]),
    }


part = make_part()
for line in sys.stdin:
    request = json.loads(line)
    try:
        if request["ask"] == "facts":
            value = {**facts(), **part.facts}
        elif request["ask"] == "memory":
            value = {"peakBytes": peak_bytes(), "importBytes": import_bytes}
        elif request["ask"] == "profile":
            value = part.profile()
        else:
            value = part.sample(request)
        reply = {"value": value}
    except Exception:
        reply = {"error": traceback.format_exc()}
    answers.write(json.dumps(reply) + "\n")
    answers.flush()
