"""How far each part of a student moves: what shows that a part that should train does, and a frozen one does not."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kdspeech.protocols import Student

_PREFIX, _STATISTICS = "moved_", "_statistics"


@dataclass(frozen=True)
class PartMovement:
    """One part's change, |after - before| / |before| over all its values: 0 means that not one of them changed."""

    weights: float
    statistics: float | None  # of its buffers, as BatchNorm's running means; None where it has none

    def __add__(self, other: "PartMovement") -> "PartMovement":
        """An upper bound of the movement over both spans."""
        known = [value for value in (self.statistics, other.statistics) if value is not None]
        return PartMovement(self.weights + other.weights, sum(known) if known else None)


class Movement:
    """Remembers the student's parts as they are now, on the CPU."""

    def __init__(self, student: Student) -> None:
        self._before = {
            name: (_copies(part.parameters()), _copies(part.buffers())) for name, part in student.parts().items()
        }

    def of(self, student: Student) -> dict[str, PartMovement]:
        """By part: the change since then."""
        moved = {}
        for name, part in student.parts().items():
            weights, statistics = self._before[name]
            moved[name] = PartMovement(
                _relative_change(weights, part.parameters()),
                _relative_change(statistics, part.buffers()) if statistics else None,
            )
        return moved


def movement_columns(moved: Mapping[str, PartMovement]) -> dict[str, float]:
    """As the log of epochs holds it: `moved_encoder`, `moved_encoder_statistics`, and so on."""
    columns = {}
    for name, part in moved.items():
        columns[f"{_PREFIX}{name}"] = part.weights
        if part.statistics is not None:
            columns[f"{_PREFIX}{name}{_STATISTICS}"] = part.statistics
    return columns


def read_movement(row: Mapping[str, Any], parts: Iterable[str]) -> dict[str, PartMovement] | None:
    """What `movement_columns` wrote into a row of the log; None in the log of an older version."""
    parts = tuple(parts)
    if any(f"{_PREFIX}{name}" not in row for name in parts):
        return None
    return {name: PartMovement(row[f"{_PREFIX}{name}"], row.get(f"{_PREFIX}{name}{_STATISTICS}")) for name in parts}


def _copies(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor.detach().cpu().clone() for tensor in tensors if tensor.is_floating_point()]


def _relative_change(before: Iterable[torch.Tensor], now: Iterable[torch.Tensor]) -> float:
    """The norm of the change over the norm before; over 1 where all was zero before."""
    changed = total = 0.0
    for old, new in zip(before, (tensor for tensor in now if tensor.is_floating_point()), strict=True):
        changed += float((new.detach().cpu().double() - old.double()).square().sum())
        total += float(old.double().square().sum())
    return math.sqrt(changed) / (math.sqrt(total) or 1.0)
