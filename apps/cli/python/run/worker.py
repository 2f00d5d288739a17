"""One of the processes of a run: it computes its share of every step's rows."""

import math
import platform

import torch
from accelerate import Accelerator

import state
from data import collate, summed_loss, trained_tokens
from model import load_model, trained_parameters


try:
    import resource
except ImportError:
    resource = None


class Worker:
    def __init__(self, job, base, dtype, folder):
        self.accelerator = Accelerator(cpu=not torch.cuda.is_available())
        self.device = self.accelerator.device
        default = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.dtype = default if dtype == "auto" else getattr(torch, dtype)
        self.options, self.pad_id = job["options"], job["pad_id"]
        self.model = load_model(self.options, base, folder, self.device, self.dtype)
        self.parameters = trained_parameters(self.model, job)
        self.optimizer = state.make_optimizer(job, self.parameters, self.device)
        if (folder / state.OPTIMIZER).exists():
            state.load_optimizer(self.optimizer, self.parameters, folder / state.OPTIMIZER)

    def _losses(self, rows):
        """The summed loss of every micro-batch of this process's share of some rows."""
        mine = rows[self.accelerator.process_index :: self.accelerator.num_processes]
        size = self.options["per_device_train_batch_size"]
        for first in range(0, len(mine), size):
            batch = collate(mine[first : first + size], self.pad_id, self.device, self.dtype)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                yield summed_loss(self.model, batch)

    def _sum(self, tensor):
        return self.accelerator.reduce(tensor, "sum")

    def step(self, number, rows, learning_rate):
        """One optimizer step; returns loss and gradient norm. What is not finite changes nothing."""
        # Other masks in every process and step, and the same again when a run goes on.
        torch.manual_seed((self.options["seed"] << 24) + number * 1024 + self.accelerator.process_index)
        tokens = trained_tokens(rows)
        total = torch.zeros(1, device=self.device)
        for loss in self._losses(rows):
            (loss / tokens).backward()
            total += loss.detach()
        trained = list(self.parameters.values())
        flat = torch.cat([(torch.zeros_like(each) if each.grad is None else each.grad).flatten() for each in trained])
        flat, loss = self._sum(flat), self._sum(total).item() / tokens
        for parameter, part in zip(trained, flat.split([each.numel() for each in trained])):
            parameter.grad = part.view_as(parameter)
        limit = self.options["max_grad_norm"] or math.inf
        norm = torch.nn.utils.clip_grad_norm_(trained, limit).item() if math.isfinite(loss) else math.nan
        if math.isfinite(norm):
            state.set_learning_rate(self.optimizer, learning_rate)
            self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, norm

    @torch.no_grad()
    def evaluate(self, rows):
        """Mean loss over the trained tokens of some rows."""
        self.model.eval()
        total = torch.zeros(1, device=self.device)
        for loss in self._losses(rows):
            total += loss
        self.model.train()
        return self._sum(total).item() / trained_tokens(rows)

    def memory(self):
        """Most bytes so far: of tensors on a GPU, of the process on a CPU; 0 where the system does not say (Windows)."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated()
        if resource is None:
            return 0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
