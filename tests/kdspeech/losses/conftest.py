"""Random numbers of the loss tests."""

from collections.abc import Callable

import pytest
import torch


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def random_log_probs(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """random_log_probs(*shape, dtype=float32): log-softmax of standard normal logits."""

    def draw(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.log_softmax(torch.randn(*shape, generator=generator, dtype=dtype), dim=-1)

    return draw
