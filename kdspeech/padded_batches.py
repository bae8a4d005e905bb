"""Waveforms of any length as padded batches for a network that masks padding.

Shapes: B batch, N samples.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence


class PaddedBatch(NamedTuple):
    """Waveforms of similar length."""

    numbers: list[int]  # [B], where each stood among all waveforms
    signal: torch.Tensor  # float32 [B, N], zeros after each waveform's end
    lengths: torch.Tensor  # int64 [B], samples


def padded_batches(
    waveforms: Sequence[np.ndarray], size: int, max_samples: int | None = None, device: torch.device | None = None
) -> Iterator[PaddedBatch]:
    """Every waveform once, the shortest first, so that little is padded.

    Args:
        waveforms: float32 [N] each.
        size: B at most.
        max_samples: B x N at most, but for a waveform that is longer by itself.
        device: of the tensors; the CPU unless given.
    """
    batch: list[int] = []
    for number in sorted(range(len(waveforms)), key=lambda number: len(waveforms[number])):
        too_large = max_samples is not None and (len(batch) + 1) * len(waveforms[number]) > max_samples
        if batch and (too_large or len(batch) == size):
            yield _pad(waveforms, batch, device)
            batch = []
        batch.append(number)
    if batch:
        yield _pad(waveforms, batch, device)


def _pad(waveforms: Sequence[np.ndarray], numbers: list[int], device: torch.device | None) -> PaddedBatch:
    parts = [torch.from_numpy(waveforms[number]) for number in numbers]
    lengths = torch.tensor([len(part) for part in parts], device=device)
    return PaddedBatch(numbers, pad_sequence(parts, batch_first=True).to(device), lengths)
