"""A stage is a value: from its settings come its optimiser, its schedule and which parts train. Nothing outlives it."""

import math
from collections.abc import Iterator

import numpy as np
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from kdspeech.config import StageConfig
from kdspeech.errors import ConfigError
from kdspeech.protocols import Student

_FINAL_SHARE = 0.01  # of the peak learning rate, at the last step


def prepare_parts(student: Student, config: StageConfig) -> None:
    """Lets the stage's parts learn and freezes the others.

    Raises:
        ConfigError: the student has no such part.
    """
    parts = student.parts()
    unknown = [name for name in config.train if name not in parts]
    if unknown:
        raise ConfigError(
            f"stage {config.name!r} trains {', '.join(unknown)}; the student's parts are {', '.join(parts)}."
        )
    for name, part in parts.items():
        part.requires_grad_(name in config.train)


def keep_frozen_in_eval(student: Student, config: StageConfig) -> None:
    """Puts frozen parts back into eval mode; called after every train(), which would let BatchNorm statistics move."""
    for name, part in student.parts().items():
        if name not in config.train:
            part.eval()


def build_optimizer(student: Student, config: StageConfig) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019) over what trains; biases and norms do not decay."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in _trained_parameters(student):
        (free if parameter.ndim < 2 or "bias" in name else decayed).append(parameter)
    groups = [
        {"name": "decayed", "params": decayed, "weight_decay": config.weight_decay},
        {"name": "not_decayed", "params": free, "weight_decay": 0.0},
    ]
    return AdamW([g for g in groups if g["params"]], lr=config.learning_rate, betas=(0.9, 0.98), fused=True)


def _trained_parameters(student: Student) -> Iterator[tuple[str, nn.Parameter]]:
    for part_name, part in student.parts().items():
        for name, parameter in part.named_parameters():
            if parameter.requires_grad:
                yield f"{part_name}.{name}", parameter


def build_scheduler(optimizer: Optimizer, config: StageConfig, num_steps: int) -> LambdaLR:
    """Linear warm-up, then a cosine down to 1 % of the peak at the stage's last step."""
    num_warmup = warmup_steps(config, num_steps)
    return LambdaLR(optimizer, lambda step: learning_rate_share(step, num_warmup, num_steps))


def warmup_steps(config: StageConfig, num_steps: int) -> int:
    """The recipe's warm-up, shortened to its largest share of the stage."""
    return min(config.warmup_steps, math.ceil(config.max_warmup_share * num_steps))


def learning_rate_share(step: int, num_warmup: int, num_steps: int) -> float:
    """Share of the peak learning rate at `step` (from 0)."""
    if step < num_warmup:
        return (step + 1) / (num_warmup + 1)
    progress = min(1.0, (step - num_warmup) / max(1, num_steps - 1 - num_warmup))
    return _FINAL_SHARE + (1 - _FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))


def epoch_seed(seed: int, stage: int, epoch: int) -> int:
    """The random numbers of one epoch depend on these three alone, so a resumed run draws the same ones."""
    return int(np.random.SeedSequence([seed, stage, epoch]).generate_state(1)[0])
