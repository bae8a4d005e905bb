"""Losses on transcripts against values that are worked out here, by hand or by enumeration."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch

from kdspeech.errors import RunError
from kdspeech.losses import (
    NBest,
    cross_entropy,
    ctc_loss,
    frames_needed,
    nbest_cross_entropy,
    nbest_ctc_loss,
    weights_of_fitting,
)

Draw = Callable[..., torch.Tensor]  # random_log_probs of conftest


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


def test_ctc_is_the_sum_over_all_alignments(random_log_probs: Draw) -> None:
    log_probs = random_log_probs(3, 5, 4)
    tokens = [(0, 1), (2, 2), (1,)]
    padded = torch.tensor([[0, 1], [2, 2], [1, 0]])
    num_frames = torch.tensor([5, 4, 3])
    loss = ctc_loss(log_probs, num_frames, padded, torch.tensor([2, 2, 1]), blank_id=3)
    expected = sum(ctc_by_enumeration(log_probs[i, : num_frames[i]], tokens[i], 3) for i in range(3))
    assert loss.sum.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count.item() == 5


def test_ctc_ignores_padding(random_log_probs: Draw) -> None:
    log_probs, tokens = random_log_probs(2, 6, 5), torch.tensor([[0, 1, 2], [3, 0, 0]])
    frames, lengths = torch.tensor([6, 4]), torch.tensor([3, 1])
    alone = ctc_loss(log_probs[1:, :4], frames[1:], tokens[1:, :1], lengths[1:], 4)
    both = ctc_loss(log_probs, frames, tokens, lengths, 4)
    first = ctc_loss(log_probs[:1], frames[:1], tokens[:1], lengths[:1], 4)
    assert both.sum.item() == pytest.approx((alone.sum + first.sum).item(), rel=1e-6)


def test_ctc_names_utterances_that_are_too_short(random_log_probs: Draw) -> None:
    log_probs, tokens = random_log_probs(2, 4, 3), torch.tensor([[0, 1], [1, 1]])
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


def test_cross_entropy_ignores_what_is_masked(random_log_probs: Draw) -> None:
    log_probs, targets = random_log_probs(2, 3, 4), torch.tensor([[0, 1, 2], [3, 3, 3]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    poisoned = log_probs.masked_fill(~mask[:, :, None], torch.nan)
    loss, clean = cross_entropy(poisoned, targets, mask, 0.1), cross_entropy(log_probs, targets, mask, 0.1)
    assert loss.sum.item() == pytest.approx(clean.sum.item())
    assert loss.count.item() == 3


def test_weights_weigh_the_sum_and_the_count_of_ctc(random_log_probs: Draw) -> None:
    log_probs, tokens = random_log_probs(2, 4, 3), torch.tensor([[0, 1], [1, 0]])
    lengths, frames = torch.tensor([2, 1]), torch.tensor([4, 3])
    loss = ctc_loss(log_probs, frames, tokens, lengths, 2, torch.tensor([0.25, 0.5]))
    first = ctc_by_enumeration(log_probs[0], (0, 1), 2)
    second = ctc_by_enumeration(log_probs[1, :3], (1,), 2)
    assert loss.sum.item() == pytest.approx(0.25 * first + 0.5 * second, rel=1e-5)
    assert loss.count.item() == pytest.approx(0.25 * 2 + 0.5 * 1)
    assert loss.mean.item() == pytest.approx((0.25 * first + 0.5 * second) / 1.0, rel=1e-5)


def test_an_utterance_of_weight_zero_may_be_too_short(random_log_probs: Draw) -> None:
    logits = random_log_probs(2, 3, 3).requires_grad_()
    tokens, lengths, frames = torch.tensor([[0, 1], [1, 1]]), torch.tensor([2, 2]), torch.tensor([3, 2])
    loss = ctc_loss(logits.log_softmax(-1), frames, tokens, lengths, 2, torch.tensor([1.0, 0.0]))
    loss.sum.backward()
    assert loss.sum.item() == pytest.approx(ctc_by_enumeration(logits[0].detach(), (0, 1), 2), rel=1e-5)
    assert loss.count.item() == 2
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0].abs().sum() > 0
    assert logits.grad[1].abs().sum() == 0
    with pytest.raises(RunError, match="index 1: 3 frames needed"):
        ctc_loss(logits.log_softmax(-1), frames, tokens, lengths, 2, torch.tensor([1.0, 0.1]))


def test_weights_weigh_the_sum_and_the_count_of_cross_entropy() -> None:
    log_probs = torch.log(torch.tensor([[[0.7, 0.3], [0.6, 0.4]], [[0.2, 0.8], [0.5, 0.5]]]))
    mask = torch.tensor([[True, True], [True, False]])
    targets = torch.tensor([[0, 1], [1, 0]])
    loss = cross_entropy(log_probs, targets, mask, 0.0, torch.tensor([0.1, 0.6]))
    assert loss.sum.item() == pytest.approx(-0.1 * (math.log(0.7) + math.log(0.4)) - 0.6 * math.log(0.8), rel=1e-5)
    assert loss.count.item() == pytest.approx(0.1 * 2 + 0.6)


@pytest.fixture
def nbest() -> NBest:
    """Of three utterances: two hypotheses, then one that needs three frames and a shorter one, then one of four."""
    return NBest(
        tokens=torch.tensor([[0, 1, 9, 9], [1, 9, 9, 9], [0, 0, 9, 9], [1, 0, 9, 9], [0, 1, 0, 1]]),
        num_tokens=torch.tensor([2, 1, 2, 2, 4]),
        utterances=torch.tensor([0, 0, 2, 2, 1]),
        weights=torch.tensor([0.7, 0.3, 0.5, 0.3, 1.0]),
    )


def test_the_nbest_loss_is_the_weighted_sum_over_all_alignments(random_log_probs: Draw, nbest: NBest) -> None:
    log_probs = random_log_probs(3, 5, 3)
    loss = nbest_ctc_loss(log_probs, torch.tensor([5, 5, 4]), nbest, blank_id=2)
    expected = (
        0.7 * ctc_by_enumeration(log_probs[0], (0, 1), 2)
        + 0.3 * ctc_by_enumeration(log_probs[0], (1,), 2)
        + 0.5 * ctc_by_enumeration(log_probs[2, :4], (0, 0), 2)
        + 0.3 * ctc_by_enumeration(log_probs[2, :4], (1, 0), 2)
        + 1.0 * ctc_by_enumeration(log_probs[1], (0, 1, 0, 1), 2)
    )
    assert loss.sum.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count.item() == pytest.approx(0.7 * 2 + 0.3 * 1 + 0.5 * 2 + 0.3 * 2 + 1.0 * 4)


def test_hypotheses_without_frames_hand_their_weight_to_the_others(random_log_probs: Draw, nbest: NBest) -> None:
    """Utterance 2 has two frames: `0 0` does not fit, and `1 0` takes all of 0.8. Utterance 1 has none that fits."""
    frames = torch.tensor([5, 3, 2])
    torch.testing.assert_close(weights_of_fitting(nbest, frames), torch.tensor([0.7, 0.3, 0.0, 0.8, 0.0]))
    logits = random_log_probs(3, 5, 3).requires_grad_()
    loss = nbest_ctc_loss(logits.log_softmax(-1), frames, nbest, blank_id=2)
    loss.sum.backward()
    log_probs = logits.detach()
    expected = (
        0.7 * ctc_by_enumeration(log_probs[0], (0, 1), 2)
        + 0.3 * ctc_by_enumeration(log_probs[0], (1,), 2)
        + 0.8 * ctc_by_enumeration(log_probs[2, :2], (1, 0), 2)
    )
    assert loss.sum.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count.item() == pytest.approx(0.7 * 2 + 0.3 * 1 + 0.8 * 2)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].abs().sum() == 0


def test_one_hypothesis_each_is_the_reference(random_log_probs: Draw) -> None:
    log_probs, tokens = random_log_probs(3, 6, 4), torch.tensor([[0, 1, 2], [2, 0, 0], [1, 1, 0]])
    lengths, frames, order = torch.tensor([3, 1, 2]), torch.tensor([6, 4, 5]), torch.tensor([2, 0, 1])
    single = NBest(tokens[order], lengths[order], order, torch.ones(3))
    loss, hard = nbest_ctc_loss(log_probs, frames, single, 3), ctc_loss(log_probs, frames, tokens, lengths, 3)
    assert loss.sum.item() == pytest.approx(hard.sum.item(), rel=1e-6)
    assert loss.count.item() == hard.count.item()


def test_no_hypotheses_cost_nothing(random_log_probs: Draw) -> None:
    logits = random_log_probs(2, 4, 3).requires_grad_()
    none = torch.zeros(0, dtype=torch.long)
    loss = nbest_ctc_loss(logits, torch.tensor([4, 4]), NBest(none.view(0, 2), none, none, torch.zeros(0)), 2)
    loss.sum.backward()  # a batch without hypotheses must not stop the training
    assert (loss.sum.item(), loss.count.item(), loss.mean.item()) == (0.0, 0.0, 0.0)


def test_the_gradient_of_the_nbest_loss_is_that_of_differences(generator: torch.Generator, nbest: NBest) -> None:
    logits = torch.randn(3, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    frames, double = torch.tensor([4, 4, 2]), nbest._replace(weights=nbest.weights.double())
    assert torch.autograd.gradcheck(lambda x: nbest_ctc_loss(x.log_softmax(-1), frames, double, 2).sum, logits)


def test_the_nbest_cross_entropy_by_hand() -> None:
    """Column 2 is the end of sentence: hypotheses `0 1 .` of weight 0.75, and `1 .` of weight 0.25."""
    log_probs = torch.log(
        torch.tensor(
            [
                [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]],
                [[0.4, 0.4, 0.2], [0.3, 0.3, 0.4], [0.9, 0.05, 0.05]],  # the last row is padding
            ]
        )
    )
    tokens, lengths = torch.tensor([[0, 1], [1, 7]]), torch.tensor([2, 1])
    loss = nbest_cross_entropy(
        log_probs, NBest(tokens, lengths, torch.tensor([0, 0]), torch.tensor([0.75, 0.25])), end_id=2
    )
    first = -math.log(0.5) - math.log(0.8) - math.log(0.6)
    second = -math.log(0.4) - math.log(0.4)
    assert loss.sum.item() == pytest.approx(0.75 * first + 0.25 * second, rel=1e-5)
    assert loss.count.item() == pytest.approx(0.75 * 3 + 0.25 * 2)
