import time

import torch
from measure import timed
from phi import open_phi, token_ids
from step import operations


class Decode:
    """A greedy answer with a key-value cache, in the leanest loop (no generate()); times as in `decode.ts`."""

    def __init__(self, start):
        loaded, self.model = timed(lambda: open_phi(start["folder"], start["weights"], start["dtype"]))
        self.model.eval()
        vocab_size = min(8192, self.model.config.vocab_size)
        self.prompt = token_ids(start["prompt"], vocab_size)[None]
        self.tokens = start["tokens"]
        self.facts = {"loadMs": loaded["ms"]}

    @torch.inference_mode()
    def answer(self):
        start = time.perf_counter()
        out = self.model(input_ids=self.prompt, use_cache=True, logits_to_keep=1)
        chosen = [out.logits[0, -1].argmax().item()]
        first = time.perf_counter()
        while len(chosen) < self.tokens:
            token = torch.tensor([[chosen[-1]]])
            out = self.model(input_ids=token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
            chosen.append(out.logits[0, -1].argmax().item())
        return 1000 * (first - start), 1000 * (time.perf_counter() - first), chosen

    def sample(self, request):
        timing, (prefill, decode, chosen) = timed(self.answer)
        later = self.tokens - 1
        return {"ms": decode / later, "cpuMs": timing["cpuMs"], "prefillMs": prefill,
                "tokensPerSecond": 1000 * later / decode, "chosen": chosen}

    def profile(self):
        with torch.profiler.profile() as profile:
            timing, _ = timed(self.answer)
        return {**timing, "ops": operations(profile)}
