"""The state of a teacher's training after an epoch, so that a killed one goes on where it stood."""

from dataclasses import dataclass
from pathlib import Path

import torch

from kdspeech.model_folders.checkpoints import load_checkpoint, save_checkpoint

Log = list[dict[str, float]]  # a row a finished epoch


@dataclass(frozen=True)
class TrainingProgress:
    """Everything that the next epoch depends on: weights, optimiser, schedule and both streams of random numbers."""

    path: Path | None  # None: nothing is kept
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    order: torch.Generator

    def keep(self, log: Log) -> None:
        """Writes the state of a finished epoch."""
        if self.path is None:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "order": self.order.get_state(),
            "random": torch.get_rng_state(),
            "log": log,
        }
        save_checkpoint(self.path, state)

    def resume(self) -> Log:
        """Takes the kept state up, if there is one, and returns the log so far."""
        if self.path is None or not self.path.exists():
            return []
        state = load_checkpoint(self.path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["random"])
        log: Log = state["log"]
        return log
