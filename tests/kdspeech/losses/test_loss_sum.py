"""What holds for every loss: sums add up, weights weigh sums and counts, half precision is lifted."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from kdspeech.losses import (
    LossSum,
    consistency_kl,
    cross_entropy,
    ctc_loss,
    delay_tolerant_kl,
    masked_kl,
    word_posterior_kl,
)

Draw = Callable[..., torch.Tensor]  # random_log_probs of conftest


def test_sums_over_chunks_add_up_to_the_whole(random_log_probs: Draw, generator: torch.Generator) -> None:
    student, target = random_log_probs(4, 6, 5), random_log_probs(4, 6, 5)
    mask = torch.rand(4, 6, generator=generator) < 0.6
    tokens, lengths, frames = torch.randint(4, (4, 2), generator=generator), torch.full((4,), 2), torch.full((4,), 6)

    def losses(part: slice) -> list[LossSum]:
        return [
            masked_kl(student[part], target[part], mask[part], 2.0),
            cross_entropy(student[part], torch.zeros(4, 6, dtype=torch.long)[part], mask[part], 0.1),
            ctc_loss(student[part], frames[part], tokens[part], lengths[part], 4),
        ]

    for whole, first, second in zip(losses(slice(4)), losses(slice(1)), losses(slice(1, 4)), strict=True):
        assert whole.sum.item() == pytest.approx((first.sum + second.sum).item(), rel=1e-5)
        assert whole.count.item() == first.count.item() + second.count.item()


def test_losses_compute_in_float32(random_log_probs: Draw, generator: torch.Generator) -> None:
    student = random_log_probs(1, 3, 4).to(torch.bfloat16)
    target = F.log_softmax(torch.randn(1, 3, 4, generator=generator), dim=-1).to(torch.bfloat16)
    assert masked_kl(student, target, torch.ones(1, 3, dtype=torch.bool), 2.0).sum.dtype == torch.float32
    assert ctc_loss(student, torch.tensor([3]), torch.tensor([[1]]), torch.tensor([1]), 3).sum.dtype == torch.float32


def test_a_mean_over_less_than_one_is_a_mean_all_the_same() -> None:
    assert LossSum(torch.tensor(0.5), torch.tensor(0.25)).mean.item() == pytest.approx(2.0)
    assert LossSum(torch.tensor(6.0), torch.tensor(3)).mean.item() == pytest.approx(2.0)
    assert LossSum(torch.tensor(0.0), torch.tensor(0)).mean.item() == 0.0


def test_the_scale_of_weights_does_not_change_a_mean(random_log_probs: Draw) -> None:
    student, target, frames = random_log_probs(3, 6, 5), random_log_probs(3, 6, 5), torch.tensor([6, 5, 4])
    mask, weights = torch.arange(6) < frames[:, None], torch.tensor([0.2, 0.9, 0.5])
    tokens, lengths = torch.tensor([[0, 1], [2, 3], [1, 0]]), torch.tensor([2, 2, 1])

    def losses(weights: torch.Tensor | None) -> list[LossSum]:
        return [
            ctc_loss(student, frames, tokens, lengths, 4, weights),
            cross_entropy(student, torch.zeros(3, 6, dtype=torch.long), mask, 0.1, weights),
            masked_kl(student, target, mask, 2.0, weights),
            delay_tolerant_kl(student, target, mask, frames, 2.0, 1, weights),
            word_posterior_kl(student[:, 0], target[:, 0], frames > 4, 2.0, weights),
            consistency_kl(student, target, frames, frames, weights),
        ]

    for one, tenth in zip(losses(weights), losses(0.1 * weights), strict=True):
        assert one.mean.item() == pytest.approx(tenth.mean.item(), rel=1e-5)
    for without, ones in zip(losses(None), losses(torch.ones(3)), strict=True):
        assert without.sum.item() == pytest.approx(ones.sum.item(), rel=1e-6)
        assert without.count.item() == ones.count.item()
