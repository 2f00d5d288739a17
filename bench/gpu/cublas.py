"""What cuBLAS, and PyTorch's attention, do at the sizes that kernels.ts measures.

    python bench/gpu/cublas.py OUT.json
"""

import json
import pathlib
import sys

import torch
from torch.nn.functional import scaled_dot_product_attention


def microseconds(run):
    """Median of five batches, after 0.3 s of the same work."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def batch(count):
        begin.record()
        for _ in range(count):
            run()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / count * 1e3

    once = max(batch(3), 1.0)
    batch(int(3e5 / once) + 1)
    count = max(4, int(4e4 / once))
    return sorted(batch(count) for _ in range(5))[2]


out = {}
for m, n, k in ((512, 2560, 2560), (512, 10240, 2560), (512, 2560, 10240), (2048, 2560, 2560), (4096, 2560, 2560),
                (4096, 10240, 2560), (4096, 2560, 10240)):
    a, b = (torch.randn(rows, k, device="cuda", dtype=torch.float16) for rows in (m, n))
    out[f"{m}x{n}x{k}"] = microseconds(lambda: a @ b.T)
for length in (512, 2048):
    q, k, v = (torch.randn(1, 32, length, 80, device="cuda", dtype=torch.float16, requires_grad=True) for _ in range(3))
    g = torch.randn_like(q)
    out[f"attention {length}"] = microseconds(lambda: scaled_dot_product_attention(q, k, v, is_causal=True))

    def both():
        scaled_dot_product_attention(q, k, v, is_causal=True).backward(g)

    out[f"attentionBackward {length}"] = microseconds(both) - out[f"attention {length}"]
x = torch.empty(2**28, device="cuda", dtype=torch.float32)
y = torch.empty_like(x)
out["copy, GB/s"] = 2 * 4 * x.numel() / microseconds(lambda: y.copy_(x)) / 1e3
pathlib.Path(sys.argv[1]).write_text(json.dumps(out, indent=1))
