"""Ours and Python's figures side by side.

    python bench/gpu/table.py DIR [SAVED.json]

DIR has what model.ts, peer.py, kernels.ts and cublas.py wrote.
"""

import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])


def load(name):
    path = folder / name
    return json.loads(path.read_text()) if path.exists() else None


ours, peer, kernels, cublas = map(load, ("ours.json", "peer.json", "kernels.json", "cublas.json"))
TARGETS = {"1x512": 2, "4x512": 2, "8x512": 1.2, "1x2048": 1.2}
PEAKS = {"1x512": 3.0, "1x2048": 3.5}
print(f"{peer['gpu']}; torch {peer['torch']}, transformers {peer['transformers']}, bitsandbytes {peer['bitsandbytes']}")
print("| batch | ours, tokens/s | JS of a step, ms | peak, GiB | bitsandbytes | peak | ratio | target |")
print("| --- | --- | --- | --- | --- | --- | --- | --- |")
for name, mine in ours["train"].items():
    other = peer["train"][name]
    js = f"{mine['jsMilliseconds']:.1f} of {1e3 * mine['seconds']:.1f}"
    peak = f"{mine['peakGib']:.2f} ({mine['deviceMib']} MiB)" + (f" of {PEAKS[name]}" if name in PEAKS else "")
    print(f"| {name} | {mine['tokensPerSecond']:,.0f} | {js} | {peak} | {other['tokens_per_second']:,.0f} | "
          f"{other['peak_gib']:.2f} ({other['device_mib']} MiB) | {mine['tokensPerSecond'] / other['tokens_per_second']:.2f} | "
          f"{TARGETS.get(name, '')} |")
read = ours["weightBytes"] - ours["embeddingBytes"]
for length, mine in ours["decode"].items():
    other = peer["decode"][length]
    share = read * mine["tokensPerSecond"] / 1e9 / cublas["copy, GB/s"] if cublas else float("nan")
    print(f"| decode after {length} | {mine['tokensPerSecond']:.1f} | {mine['jsMilliseconds']:.1f} of "
          f"{1e3 / mine['tokensPerSecond']:.1f} | {100 * share:.1f} % of the bandwidth limit | {other:.1f} | | "
          f"{mine['tokensPerSecond'] / other:.2f} | 10, 40 % |")
print(f"| from files to the first step, s | {ours['firstStepSeconds']:.1f} (weights {ours['loadSeconds']:.1f}) | | | "
      f"{peer['first_step_seconds']:.1f} | | {peer['first_step_seconds'] / ours['firstStepSeconds']:.2f} | |")
if kernels and cublas:
    print("\n| kernel | us | TFLOP/s | GB/s | cuBLAS or PyTorch, us | of it |\n| --- | --- | --- | --- | --- | --- |")
    for name, each in kernels.items():
        other = cublas.get(each.get("like") or name)
        shown = [f"{each[key]:.1f}" if each[key] else "" for key in ("tflops", "gbs")]
        beside = [f"{other:.0f}", f"{other / each['us']:.2f}"] if other else ["", ""]
        print("| " + " | ".join([name, f"{each['us']:.0f}", *shown, *beside]) + " |")
if len(sys.argv) > 2:
    pathlib.Path(sys.argv[2]).write_text(json.dumps(dict(ours=ours, peer=peer, kernels=kernels, cublas=cublas), indent=1))
