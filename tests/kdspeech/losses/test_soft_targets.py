"""Losses on distributions against values that are worked out here, by hand or by brute force."""

import math
from collections.abc import Callable

import pytest
import torch

from kdspeech.errors import RunError
from kdspeech.logspace import LOG_ZERO
from kdspeech.losses import consistency_kl, delay_tolerant_kl, masked_kl, symmetric_mask, word_posterior_kl
from kdspeech.targets.pooling import frame_mask

Draw = Callable[..., torch.Tensor]  # random_log_probs of conftest


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_kl_is_zero_where_the_student_is_the_teacher(random_log_probs: Draw, temperature: float) -> None:
    student = random_log_probs(2, 3, 4).requires_grad_()
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


def test_kl_never_looks_at_masked_rows(random_log_probs: Draw) -> None:
    student, target = random_log_probs(2, 4, 5), random_log_probs(2, 4, 5)
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


def divergence(target: torch.Tensor, other: torch.Tensor) -> float:
    """KL of two rows of log-probs, term by term."""
    return sum(math.exp(p) * (p - q) for p, q in zip(target.tolist(), other.tolist(), strict=True) if p > LOG_ZERO)


def test_weights_weigh_the_sum_and_the_count_of_kl(random_log_probs: Draw) -> None:
    student, target = random_log_probs(2, 3, 4), random_log_probs(2, 3, 4)
    mask = torch.tensor([[True, False, True], [False, True, False]])
    loss = masked_kl(student, target, mask, 1.0, torch.tensor([0.5, 0.2]))
    rows = [divergence(target[b, t], student[b, t]) for b, t in [(0, 0), (0, 2), (1, 1)]]
    assert loss.sum.item() == pytest.approx(0.5 * (rows[0] + rows[1]) + 0.2 * rows[2], rel=1e-5)
    assert loss.count.item() == pytest.approx(0.5 * 2 + 0.2)


def test_the_students_spikes_are_masked_as_the_teachers_are(generator: torch.Generator) -> None:
    """One batched call gives what frame_mask gives for each utterance alone; padding is never kept."""
    blanks = torch.rand(4, 12, generator=generator).log()
    num_frames = torch.tensor([12, 7, 1, 10])
    for threshold, dilation in [(0.1, 0), (0.2, 1), (0.1, 3), (0.5, 20)]:
        nothing = torch.zeros(4, 12, dtype=torch.bool)
        found = symmetric_mask(nothing, blanks, num_frames, threshold, dilation)
        for row, frames, kept in zip(blanks, num_frames.tolist(), found, strict=True):
            expected = frame_mask(row[:frames].numpy(), threshold, dilation)
            assert kept.tolist() == expected.tolist() + [False] * (12 - frames)


def test_the_symmetric_mask_keeps_the_spikes_of_both() -> None:
    teacher = torch.tensor([[False, True, True, True, False, False, False, False, False]])
    blanks = torch.full((1, 9), 0.99)
    blanks[0, 7] = 0.2  # here the student says a token, and the teacher does not
    blanks[0, 8] = 0.1  # beyond the utterance
    kept = symmetric_mask(teacher, blanks.log(), torch.tensor([8]), threshold=0.5, dilation=1)
    assert kept.tolist() == [[False, True, True, True, False, False, True, True, False]]


def one_hot_log_probs(columns: list[int], size: int = 3, certainty: float = 0.98) -> torch.Tensor:
    """[1, T, C], nearly all on one column in each frame."""
    rest = (1 - certainty) / (size - 1)
    rows = torch.full((len(columns), size), rest)
    rows[torch.arange(len(columns)), torch.tensor(columns)] = certainty
    return rows.log()[None]


def test_a_late_student_is_forgiven_within_reach_only() -> None:
    """Blank is column 2. The student spikes two frames late."""
    target, student = one_hot_log_probs([2, 0, 2, 2, 2, 2]), one_hot_log_probs([2, 2, 2, 0, 2, 2])
    mask, frames = torch.ones(1, 6, dtype=torch.bool), torch.tensor([6])
    swapped = divergence(target[0, 1], student[0, 1])
    expected = {0: 2 * swapped, 1: swapped, 2: 0.0, 3: 0.0}  # a delay of 1 reaches a blank, and not the token
    for delay, value in expected.items():
        loss = delay_tolerant_kl(student, target, mask, frames, 1.0, delay)
        assert loss.sum.item() == pytest.approx(value, abs=1e-5)
        assert loss.count.item() == 6


def test_delay_tolerant_kl_by_brute_force(random_log_probs: Draw) -> None:
    student, target = random_log_probs(3, 7, 4), random_log_probs(3, 7, 4)
    num_frames, temperature, delay = torch.tensor([7, 5, 1]), 2.0, 2
    mask = torch.arange(7) < num_frames[:, None]
    mask[0, 3] = mask[1, 0] = False
    weights = torch.tensor([1.0, 0.5, 0.25])
    soft = torch.log_softmax(student / temperature, dim=-1)
    expected = 0.0
    for b, t in mask.nonzero().tolist():
        reach = range(max(0, t - delay), min(int(num_frames[b]), t + delay + 1))
        expected += float(weights[b]) * min(divergence(target[b, t], soft[b, s]) for s in reach)
    padding = (torch.arange(7) >= num_frames[:, None])[:, :, None]
    poisoned = student.masked_fill(padding, torch.nan).requires_grad_()
    loss = delay_tolerant_kl(poisoned, target, mask, num_frames, temperature, delay, weights)
    loss.sum.backward()
    assert loss.sum.item() == pytest.approx(temperature**2 * expected, rel=1e-5)
    assert loss.count.item() == pytest.approx(6 + 0.5 * 4 + 0.25)
    assert poisoned.grad is not None
    assert torch.isfinite(poisoned.grad).all()


def test_of_equally_good_frames_the_nearest_learns() -> None:
    """The target's one frame is number 1; all of the student's are alike."""
    student, target = one_hot_log_probs([2, 2, 2, 2, 2]).requires_grad_(), one_hot_log_probs([2, 0, 2, 2, 2])
    mask = torch.tensor([[False, True, False, False, False]])
    delay_tolerant_kl(student, target, mask, torch.tensor([5]), 1.0, 3).sum.backward()
    assert student.grad is not None
    assert student.grad.abs().sum(dim=2)[0].nonzero().flatten().tolist() == [1]


def test_frames_after_the_end_are_out_of_reach() -> None:
    """Just after the utterance's two frames stands what the target asks for."""
    student, target = one_hot_log_probs([2, 2, 0]), one_hot_log_probs([2, 0, 2])
    mask = torch.tensor([[False, True, False]])
    loss = delay_tolerant_kl(student, target, mask, torch.tensor([2]), 1.0, 1)
    assert loss.sum.item() == pytest.approx(divergence(target[0, 1], student[0, 1]), rel=1e-5)


def test_without_a_delay_it_is_the_plain_kl(random_log_probs: Draw) -> None:
    student, target = random_log_probs(2, 5, 4), random_log_probs(2, 5, 4)
    mask = torch.tensor([[True, False, True, True, False], [True, True, False, False, False]])
    tolerant = delay_tolerant_kl(student, target, mask, torch.tensor([5, 2]), 3.0, 0)
    assert tolerant.sum.item() == pytest.approx(masked_kl(student, target, mask, 3.0).sum.item(), rel=1e-6)


def test_word_posteriors_by_hand() -> None:
    """Log-likelihoods up to a constant: the posterior is 0.5, 0.3, 0.2; at t = 2 it goes as the square root."""
    likelihoods = torch.log(torch.tensor([[0.5, 0.3, 0.2]])) - 80.0
    target = torch.tensor([[0.7, 0.2, 0.1]])
    loss = word_posterior_kl(likelihoods, target.log(), torch.tensor([True]), 1.0)
    assert loss.sum.item() == pytest.approx(
        0.7 * math.log(0.7 / 0.5) + 0.2 * math.log(0.2 / 0.3) + 0.1 * math.log(0.1 / 0.2), rel=1e-4
    )
    roots = [math.sqrt(p) for p in (0.5, 0.3, 0.2)]
    soft = [root / sum(roots) for root in roots]
    expected = 4 * sum(p * math.log(p / q) for p, q in zip(target[0].tolist(), soft, strict=True))
    loss = word_posterior_kl(likelihoods, target.log(), torch.tensor([True]), 2.0)
    assert loss.sum.item() == pytest.approx(expected, rel=1e-4)
    assert loss.count.item() == 1


@pytest.mark.parametrize("log_zero", [LOG_ZERO, -math.inf])
@pytest.mark.parametrize("temperature", [1.0, 4.0, 5000.0])
def test_words_that_do_not_fit_are_left_out(log_zero: float, temperature: float) -> None:
    """What remains of the target, 0.6 and 0.2, becomes 3/4 and 1/4, whatever the temperature."""
    likelihoods = torch.tensor([[-5.0, LOG_ZERO, -5.0], [LOG_ZERO, LOG_ZERO, LOG_ZERO], [-1.0, LOG_ZERO, LOG_ZERO]])
    likelihoods.requires_grad_()
    target = torch.tensor([[0.6, 0.2, 0.2], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]).log().clamp(min=log_zero)
    loss = word_posterior_kl(likelihoods, target, torch.ones(3, dtype=torch.bool), temperature)
    loss.sum.backward()
    expected = temperature**2 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert loss.sum.item() == pytest.approx(expected, rel=1e-4)
    assert loss.count.item() == 1  # no word fits the second; the third's target holds none that fits
    assert likelihoods.grad is not None
    torch.testing.assert_close(
        likelihoods.grad,
        torch.tensor([[-0.25, 0.0, 0.25], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]) * temperature,
        rtol=1e-4,
        atol=1e-5,
    )


def test_word_posteriors_of_the_teacher_itself_cost_nothing(random_log_probs: Draw) -> None:
    likelihoods = (3 * random_log_probs(3, 6) - 40).requires_grad_()
    target = torch.log_softmax(likelihoods.detach() / 2, dim=-1)
    loss = word_posterior_kl(likelihoods, target, torch.ones(3, dtype=torch.bool), 2.0)
    loss.sum.backward()
    assert loss.sum.item() == pytest.approx(0.0, abs=1e-5)
    assert likelihoods.grad is not None
    assert likelihoods.grad.abs().max() < 1e-5


def test_word_posteriors_never_look_at_masked_utterances(random_log_probs: Draw) -> None:
    likelihoods, target, mask = random_log_probs(3, 5), random_log_probs(3, 5), torch.tensor([True, False, True])
    weights = torch.tensor([0.5, 9.0, 0.25])
    poisoned = likelihoods.masked_fill(~mask[:, None], torch.nan).requires_grad_()
    loss = word_posterior_kl(poisoned, target.masked_fill(~mask[:, None], torch.nan), mask, 1.0, weights)
    loss.sum.backward()
    expected = 0.5 * divergence(target[0], likelihoods[0]) + 0.25 * divergence(target[2], likelihoods[2])
    assert loss.sum.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count.item() == pytest.approx(0.75)
    assert poisoned.grad is not None
    assert torch.isfinite(poisoned.grad).all()


def test_consistency_by_hand_and_its_gradient_stops_at_the_target() -> None:
    """One frame, two classes: 0.8 against 0.5. The gradient of KL(p || q) by q's logits is q - p."""
    first = torch.tensor([[[0.8, 0.2]]]).log().requires_grad_()
    second = torch.tensor([[[0.5, 0.5]]]).log().requires_grad_()
    loss = consistency_kl(first, second, torch.tensor([1]), torch.tensor([1]))
    loss.sum.backward()
    forth = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    back = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)
    assert loss.sum.item() == pytest.approx(0.5 * (forth + back), rel=1e-5)
    assert loss.count.item() == 1
    assert first.grad is not None
    assert second.grad is not None
    torch.testing.assert_close(first.grad, 0.5 * torch.tensor([[[0.3, -0.3]]]))
    torch.testing.assert_close(second.grad, 0.5 * torch.tensor([[[-0.3, 0.3]]]))


def test_consistency_ignores_padding_and_is_symmetric(random_log_probs: Draw) -> None:
    first, second, frames = random_log_probs(2, 6, 4), random_log_probs(2, 5, 4), torch.tensor([5, 3])
    weights = torch.tensor([1.0, 0.5])
    padded = [
        x.masked_fill((torch.arange(x.shape[1]) >= frames[:, None])[:, :, None], torch.nan) for x in (first, second)
    ]
    expected = 0.0
    for b, t in (torch.arange(5) < frames[:, None]).nonzero().tolist():
        both = divergence(first[b, t], second[b, t]) + divergence(second[b, t], first[b, t])
        expected += float(weights[b]) * 0.5 * both
    for a, b in [padded, padded[::-1]]:
        loss = consistency_kl(a, b, frames, frames, weights)
        assert loss.sum.item() == pytest.approx(expected, rel=1e-5)
        assert loss.count.item() == pytest.approx(5 + 0.5 * 3)
    assert consistency_kl(first, first, frames, frames).sum.item() == 0.0


def test_views_of_other_lengths_are_refused(random_log_probs: Draw) -> None:
    views = random_log_probs(2, 2, 6, 4)
    with pytest.raises(RunError, match=r"views of 1 utterances .* index 1: 6 and 5\. .* change speed"):
        consistency_kl(views[0], views[1], torch.tensor([6, 6]), torch.tensor([6, 5]))


def test_gradients_are_those_of_differences(random_log_probs: Draw) -> None:
    student = random_log_probs(2, 4, 3, dtype=torch.float64).requires_grad_()
    target, frames = random_log_probs(2, 4, 3, dtype=torch.float64), torch.tensor([4, 3])
    mask = torch.arange(4) < frames[:, None]
    check = torch.autograd.gradcheck
    assert check(lambda x: masked_kl(x, target, mask, 2.0).sum, student)
    assert check(lambda x: delay_tolerant_kl(x, target, mask, frames, 2.0, 1).sum, student)
    assert check(lambda x: word_posterior_kl(x[:, 0], target[:, 0], frames > 3, 3.0).sum, student)
