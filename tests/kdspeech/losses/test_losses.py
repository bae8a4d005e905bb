"""Losses against values that are worked out here, by hand or by enumeration."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from kdspeech.errors import ConfigError, RunError
from kdspeech.logspace import LOG_ZERO
from kdspeech.losses import LossSum, WeightedSum, cross_entropy, ctc_loss, frames_needed, masked_kl


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def random_log_probs(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.log_softmax(torch.randn(*shape, generator=generator), dim=-1)


def collapse(path: tuple[int, ...], blank_id: int) -> tuple[int, ...]:
    merged = [column for column, _ in itertools.groupby(path)]
    return tuple(column for column in merged if column != blank_id)


def ctc_by_enumeration(log_probs: torch.Tensor, tokens: tuple[int, ...], blank_id: int) -> float:
    """-log of the summed probability of every path that collapses to the tokens."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=log_probs.shape[0]):
        if collapse(path, blank_id) == tokens:
            total += math.exp(sum(float(log_probs[t, column]) for t, column in enumerate(path)))
    return -math.log(total)


def test_ctc_is_the_sum_over_all_alignments(generator: torch.Generator) -> None:
    log_probs = random_log_probs(generator, 3, 5, 4)
    tokens = [(0, 1), (2, 2), (1,)]
    padded = torch.tensor([[0, 1], [2, 2], [1, 0]])
    num_frames = torch.tensor([5, 4, 3])
    loss = ctc_loss(log_probs, num_frames, padded, torch.tensor([2, 2, 1]), blank_id=3)
    expected = sum(ctc_by_enumeration(log_probs[i, : num_frames[i]], tokens[i], 3) for i in range(3))
    assert loss.sum.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count.item() == 5


def test_ctc_ignores_padding(generator: torch.Generator) -> None:
    log_probs, tokens = random_log_probs(generator, 2, 6, 5), torch.tensor([[0, 1, 2], [3, 0, 0]])
    frames, lengths = torch.tensor([6, 4]), torch.tensor([3, 1])
    alone = ctc_loss(log_probs[1:, :4], frames[1:], tokens[1:, :1], lengths[1:], 4)
    both = ctc_loss(log_probs, frames, tokens, lengths, 4)
    first = ctc_loss(log_probs[:1], frames[:1], tokens[:1], lengths[:1], 4)
    assert both.sum.item() == pytest.approx((alone.sum + first.sum).item(), rel=1e-6)


def test_ctc_names_utterances_that_are_too_short(generator: torch.Generator) -> None:
    log_probs, tokens = random_log_probs(generator, 2, 4, 3), torch.tensor([[0, 1], [1, 1]])
    lengths = torch.tensor([2, 2])
    assert frames_needed(tokens, lengths).tolist() == [2, 3]  # a blank must part the repeated token
    with pytest.raises(RunError, match=r"1 utterances .* index 1: 3 frames needed, 2 there"):
        ctc_loss(log_probs, torch.tensor([2, 2]), tokens, lengths, 2)


def test_frames_needed_does_not_count_repeats_in_the_padding() -> None:
    assert frames_needed(torch.tensor([[4, 7, 7, 7]]), torch.tensor([2])).tolist() == [2]


def test_cross_entropy_by_hand() -> None:
    log_probs = torch.log(torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]]))
    loss = cross_entropy(log_probs, torch.tensor([[0, 2]]), torch.tensor([[True, True]]), label_smoothing=0.3)
    first = -0.7 * math.log(0.7) - 0.1 * (math.log(0.7) + math.log(0.2) + math.log(0.1))
    second = -0.7 * math.log(0.3) - 0.1 * (math.log(0.1) + math.log(0.6) + math.log(0.3))
    assert loss.sum.item() == pytest.approx(first + second, rel=1e-5)
    assert loss.count.item() == 2


def test_cross_entropy_ignores_what_is_masked(generator: torch.Generator) -> None:
    log_probs, targets = random_log_probs(generator, 2, 3, 4), torch.tensor([[0, 1, 2], [3, 3, 3]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    poisoned = log_probs.masked_fill(~mask[:, :, None], torch.nan)
    loss, clean = cross_entropy(poisoned, targets, mask, 0.1), cross_entropy(log_probs, targets, mask, 0.1)
    assert loss.sum.item() == pytest.approx(clean.sum.item())
    assert loss.count.item() == 3


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_kl_is_zero_where_the_student_is_the_teacher(generator: torch.Generator, temperature: float) -> None:
    student = random_log_probs(generator, 2, 3, 4).requires_grad_()
    target = torch.log_softmax(student.detach() / temperature, dim=-1)
    loss = masked_kl(student, target, torch.ones(2, 3, dtype=torch.bool), temperature)
    loss.sum.backward()
    assert loss.sum.item() == pytest.approx(0.0, abs=1e-6)
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6


def test_kl_of_two_classes_by_hand() -> None:
    target, student = torch.tensor([[[0.8, 0.2]]]).log(), torch.tensor([[[0.5, 0.5]]]).log()
    loss = masked_kl(student, target, torch.tensor([[True]]), temperature=2.0)
    assert loss.sum.item() == pytest.approx(4 * (0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)), rel=1e-5)
    student = torch.tensor([[[0.9, 0.1]]]).log()  # at temperature 2 its odds are 3 : 1
    loss = masked_kl(student, target, torch.tensor([[True]]), temperature=2.0)
    assert loss.sum.item() == pytest.approx(4 * (0.8 * math.log(0.8 / 0.75) + 0.2 * math.log(0.2 / 0.25)), rel=1e-4)


def test_kl_never_looks_at_masked_rows(generator: torch.Generator) -> None:
    student, target = random_log_probs(generator, 2, 4, 5), random_log_probs(generator, 2, 4, 5)
    mask = torch.tensor([[True, True, False, False], [True, False, True, False]])
    poisoned = student.masked_fill(~mask[:, :, None], torch.nan).requires_grad_()
    loss = masked_kl(poisoned, target.masked_fill(~mask[:, :, None], torch.nan), mask, 2.0)
    loss.sum.backward()
    assert loss.sum.item() == pytest.approx(masked_kl(student, target, mask, 2.0).sum.item())
    assert loss.count.item() == 4
    assert poisoned.grad is not None
    assert torch.isfinite(poisoned.grad).all()


@pytest.mark.parametrize("log_zero", [LOG_ZERO, -math.inf])
def test_kl_of_a_target_with_zeros(log_zero: float) -> None:
    target = torch.tensor([[[math.log(0.25), math.log(0.75), log_zero]]])
    student = torch.tensor([[[0.5, 0.3, 0.2]]]).log().requires_grad_()
    loss = masked_kl(student, target, torch.tensor([[True]]), 1.0)
    loss.sum.backward()
    assert loss.sum.item() == pytest.approx(0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.3), rel=1e-5)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_the_gradient_keeps_its_size_over_temperatures(generator: torch.Generator) -> None:
    """For nearly uniform logits t^2 KL has the gradient (z - v) / C, whatever t (Hinton et al. 2015, eq. 4)."""
    student_logits = 1e-2 * torch.randn(1, 1, 6, generator=generator)
    teacher_logits = 1e-2 * torch.randn(1, 1, 6, generator=generator)
    difference = student_logits - teacher_logits
    expected = (difference - difference.mean()) / 6
    for temperature in (1.0, 2.0, 8.0):
        logits = student_logits.clone().requires_grad_()
        target = torch.log_softmax(teacher_logits / temperature, dim=-1)
        loss = masked_kl(logits.log_softmax(-1), target, torch.ones(1, 1, dtype=torch.bool), temperature)
        (gradient,) = torch.autograd.grad(loss.sum, logits)
        assert torch.allclose(gradient, expected, atol=1e-4)


def test_sums_over_chunks_add_up_to_the_whole(generator: torch.Generator) -> None:
    student, target = random_log_probs(generator, 4, 6, 5), random_log_probs(generator, 4, 6, 5)
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


def test_losses_compute_in_float32(generator: torch.Generator) -> None:
    student = random_log_probs(generator, 1, 3, 4).to(torch.bfloat16)
    target = F.log_softmax(torch.randn(1, 3, 4, generator=generator), dim=-1).to(torch.bfloat16)
    assert masked_kl(student, target, torch.ones(1, 3, dtype=torch.bool), 2.0).sum.dtype == torch.float32
    assert ctc_loss(student, torch.tensor([3]), torch.tensor([[1]]), torch.tensor([1]), 3).sum.dtype == torch.float32


def loss_sum(total: float, count: int) -> LossSum:
    return LossSum(torch.tensor(total), torch.tensor(count))


def test_a_weighted_sum_normalises_each_term_once() -> None:
    weighted = WeightedSum({"ctc": 0.5, "frame_kl": 0.25, "token_kl": 0.0})
    assert weighted.terms == ("ctc", "frame_kl")
    assert weighted.formula == "0.5 ctc + 0.25 frame_kl"
    loss = weighted({"ctc": loss_sum(12.0, 4), "frame_kl": loss_sum(10.0, 5)})
    assert loss.total.item() == pytest.approx(0.5 * 3 + 0.25 * 2)
    assert {name: part.item() for name, part in loss.parts.items()} == {"ctc": 3.0, "frame_kl": 2.0}


def test_a_mask_that_keeps_nothing_adds_nothing() -> None:
    assert WeightedSum({"frame_kl": 1.0})({"frame_kl": loss_sum(0.0, 0)}).total.item() == 0.0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"ctc": 1.0, "kl": 1.0}, "unknown loss terms kl; there are ctc, cross_entropy, frame_kl, token_kl"),
        ({"ctc": -1.0}, "must not be negative: ctc"),
        ({"ctc": 0.0}, "at least one term"),
    ],
)
def test_weights_that_make_no_loss_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WeightedSum(weights)


def test_terms_and_data_must_match() -> None:
    weighted = WeightedSum({"ctc": 1.0, "frame_kl": 0.5})
    with pytest.raises(RunError, match=r"no data for frame_kl.*dump-teachers"):
        weighted({"ctc": loss_sum(1.0, 1)})
    with pytest.raises(RunError, match="without a weight: token_kl"):
        weighted({"ctc": loss_sum(1.0, 1), "frame_kl": loss_sum(1.0, 1), "token_kl": loss_sum(1.0, 1)})
