import contextlib

import torch
from measure import timed
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from phi import open_phi, token_ids


class Step:
    """Forward, backward and AdamW of one batch with gradient checkpointing, as peft's own guide does it."""

    def __init__(self, start):
        model = open_phi(start["folder"], start["weights"], "f32")
        checkpointing = {"use_reentrant": False}
        if start["weights"] == "nf4":
            model = prepare_model_for_kbit_training(model, True, checkpointing)
        else:
            model.gradient_checkpointing_enable(checkpointing)
            model.enable_input_require_grads()
        targets = ["q_proj", "k_proj", "v_proj", "dense"]
        lora = LoraConfig(task_type="CAUSAL_LM", r=start["r"], lora_alpha=2 * start["r"], lora_dropout=0.0,
                          target_modules=targets)
        self.model = get_peft_model(model, lora)
        self.model.config.use_cache = False
        self.model.train()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=2e-4, weight_decay=0.0)
        self.ids = token_ids(start["batchSize"] * start["length"], 8192).reshape(start["batchSize"], start["length"])
        self.mask = torch.ones_like(self.ids)
        self.bf16 = start["dtype"] == "bf16"
        self.facts = {"trainable": sum(p.numel() for p in self.parameters)}

    def step(self):
        self.optimizer.zero_grad()
        # What Trainer does with bf16=True.
        with torch.autocast("cpu", torch.bfloat16) if self.bf16 else contextlib.nullcontext():
            loss = self.model(input_ids=self.ids, attention_mask=self.mask, labels=self.ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return loss.item()

    def sample(self, request):
        timing, loss = timed(self.step)
        return {**timing, "loss": loss}

    def profile(self):
        with torch.profiler.profile() as profile:
            timing, _ = timed(self.step)
        return {**timing, "ops": operations(profile)}


def operations(profile):
    """torch's operators by the time spent in them without their children, the slowest first."""
    rows = sorted(profile.key_averages(), key=lambda row: -row.self_cpu_time_total)
    return [{"op": row.key, "calls": row.count, "ms": row.self_cpu_time_total / 1000, "flop": 0} for row in rows]
