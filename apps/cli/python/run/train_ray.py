"""The same run as train.py on a Ray cluster: N workers, started again from the newest checkpoint when one dies.

    python train_ray.py --workers 4                     # starts Ray here, or joins the cluster of RAY_ADDRESS

Every node must see this folder, the base and --out under the same paths (a shared file system).
"""

import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

PROJECT = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT))


def work(config):
    sys.path.insert(0, config.pop("project"))
    import train

    train.run(**config)


def main():
    import torch
    import train

    job = json.loads((PROJECT / "job.json").read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=job["workers"])
    parser.add_argument("--cpus-per-worker", type=int, default=1)
    parser.add_argument("--gpu", action=argparse.BooleanOptionalAction, default=torch.cuda.is_available(),
                        help="a GPU for every worker (default: if this machine has one)")
    parser.add_argument("--max-failures", type=int, default=3, help="how often a broken run is started again")
    config = vars(train.parse(parser))
    workers, cpus, gpu, failures = (config.pop(key) for key in ("workers", "cpus_per_worker", "gpu", "max_failures"))
    config["out"] = str(pathlib.Path(config["out"]).resolve())
    ray.init(address=os.environ.get("RAY_ADDRESS"))
    resources = {"CPU": cpus, **({"GPU": 1} if gpu else {})}
    TorchTrainer(
        work,
        train_loop_config={"project": str(PROJECT), **config},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=resources),
        run_config=RunConfig(name="qlora", storage_path=str(pathlib.Path(config["out"]) / "ray"),
                             failure_config=FailureConfig(max_failures=failures)),
    ).fit()


if __name__ == "__main__":
    main()
