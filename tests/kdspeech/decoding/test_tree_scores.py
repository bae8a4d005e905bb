"""The prefix tree against word-by-word recursions, torch's CTC loss and finite differences."""

import math
from collections.abc import Sequence

import pytest
import torch

from kdspeech.decoding import tree_scores
from kdspeech.decoding.prefix_tree import PrefixTree, build_tree
from kdspeech.decoding.tree_scores import tree_log_likelihoods
from kdspeech.logspace import LOG_ZERO

# With shared beginnings, words inside words, repeats at several depths and a word that is only repeats.
WORDS = ((0, 1), (0, 1, 1), (0, 1, 1, 2), (0, 0), (0, 0, 0, 0), (2,), (2, 1, 0, 1), (3, 3, 1), (0, 1, 2))
NUM_COLUMNS = 6  # token 4 is in no word


def random_log_probs(*shape: int, sharpness: float = 1.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(*shape, generator=generator)).log_softmax(dim=-1)


def word_by_word(rows: torch.Tensor, word: Sequence[int]) -> float:
    """log p(word | x) of rows [T, V+1] by the textbook recursion over the blanks and tokens of one word, in floats."""
    blank = rows.shape[1] - 1
    states = [blank, *(state for token in word for state in (token, blank))]
    alpha = [0.0, *[-math.inf] * (len(states) - 1)]
    for row in rows.double().tolist():
        moved = []
        for s, state in enumerate(states):
            sources = [alpha[s], *alpha[max(s - 1, 0) : s]]
            if s > 1 and state != blank and state != states[s - 2]:
                sources.append(alpha[s - 2])
            highest = max(sources)
            total = math.fsum(math.exp(a - highest) for a in sources) if highest > -math.inf else 0.0
            moved.append(highest + math.log(total) + row[state] if total else -math.inf)
        alpha = moved
    highest = max(alpha[-2:])
    if highest == -math.inf:
        return LOG_ZERO
    return max(LOG_ZERO, highest + math.log(sum(math.exp(a - highest) for a in alpha[-2:])))


def expected_scores(log_probs: torch.Tensor, num_frames: Sequence[int]) -> torch.Tensor:
    rows = [[word_by_word(rows[:n], word) for word in WORDS] for rows, n in zip(log_probs, num_frames, strict=True)]
    return torch.tensor(rows)


def torchs_scores(log_probs: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
    """[B, W] by torch.nn.functional.ctc_loss."""
    columns = [
        -torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1),
            torch.tensor([word] * len(log_probs)),
            num_frames,
            torch.full((len(log_probs),), len(word)),
            blank=NUM_COLUMNS - 1,
            reduction="none",
        )
        for word in WORDS
    ]
    return torch.stack(columns, dim=1)


@pytest.fixture(scope="module")
def tree() -> PrefixTree:
    return build_tree(WORDS)


def test_shared_beginnings_are_one_node(tree: PrefixTree) -> None:
    prefixes = {word[:length] for word in WORDS for length in range(len(word) + 1)}
    assert tree.num_nodes == len(prefixes) == 16
    assert tree.columns.tolist() == [0, 1, 2, 3]
    assert len(tree.echoed) == 5  # of 0, 00, 000, 01 and 3
    assert [tree.num_reachable(n) for n in (0, 1, 7, 100)] == [1, 4, 16, 16]  # 0000 needs 7 frames


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 10.0, 60.0, 400.0])
def test_every_range_gives_the_word_by_word_recursion(tree: PrefixTree, sharpness: float) -> None:
    num_frames = [40, 23, 7, 6, 3, 1, 0]
    log_probs = random_log_probs(7, 40, NUM_COLUMNS, sharpness=sharpness)

    scores = tree_log_likelihoods(tree, log_probs, torch.tensor(num_frames))

    torch.testing.assert_close(scores, expected_scores(log_probs, num_frames), rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("impossible", [-math.inf, LOG_ZERO, -750.0])
@pytest.mark.parametrize("column", [0, 1, NUM_COLUMNS - 1])
def test_impossible_columns_are_exact(tree: PrefixTree, column: int, impossible: float) -> None:
    log_probs = random_log_probs(2, 12, NUM_COLUMNS)
    log_probs[0, :, column] = impossible
    log_probs[1, 3:9, column] = impossible

    scores = tree_log_likelihoods(tree, log_probs, torch.tensor([12, 12]))

    torch.testing.assert_close(scores, expected_scores(log_probs, [12, 12]), rtol=2e-6, atol=1e-5)


def test_both_spaces_agree(tree: PrefixTree) -> None:
    log_probs, num_frames = random_log_probs(3, 30, NUM_COLUMNS, sharpness=4.0), torch.tensor([30, 20, 9])
    in_logs = tree_scores._log_space_scores(tree, log_probs.double(), num_frames)
    fast, exact = tree_scores._TreeScores.apply(log_probs, num_frames, tree)
    assert exact.all()
    torch.testing.assert_close(fast, in_logs.float())


@pytest.mark.parametrize("sharpness", [1.0, 6.0, 80.0])
def test_gradients_are_those_of_torchs_ctc_loss(tree: PrefixTree, sharpness: float) -> None:
    num_frames = torch.tensor([30, 17, 8])  # all words fit
    weights = random_log_probs(3, len(WORDS), seed=1)
    ours = random_log_probs(3, 30, NUM_COLUMNS, sharpness=sharpness).requires_grad_()
    logits = ours.detach().double().requires_grad_()

    (tree_log_likelihoods(tree, ours, num_frames) * weights).sum().backward()
    # torch's gradient is that by the logits of normalised rows: so ours goes through the softmax's derivative too
    (torchs_scores(logits.log_softmax(-1), num_frames) * weights).sum().backward()

    assert ours.grad is not None
    through_softmax = ours.grad - ours.detach().exp() * ours.grad.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(through_softmax.double(), logits.grad, rtol=1e-4, atol=2e-4)


def test_gradients_are_finite_differences(tree: PrefixTree) -> None:
    log_probs, num_frames = random_log_probs(2, 9, NUM_COLUMNS).double(), torch.tensor([9, 8])
    weights = torch.randn(2, len(WORDS), generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def value(rows: torch.Tensor) -> float:
        return float((tree_scores._log_space_scores(tree, rows, num_frames) * weights).sum())

    rows = log_probs.float().requires_grad_()
    (tree_log_likelihoods(tree, rows, num_frames) * weights).sum().backward()
    assert rows.grad is not None
    for position in ((0, 0, 0), (0, 4, 1), (0, 8, 5), (1, 2, 4), (1, 7, 3), (1, 8, 0)):
        step = torch.zeros_like(log_probs)
        step[position] = 1e-5
        slope = (value(log_probs + step) - value(log_probs - step)) / 2e-5
        assert float(rows.grad[position]) == pytest.approx(slope, abs=1e-4)


def test_words_that_do_not_fit_and_padding_get_no_gradient(tree: PrefixTree) -> None:
    log_probs = random_log_probs(3, 10, NUM_COLUMNS)
    log_probs[:2, 5:] = math.nan  # padding is not even looked at
    log_probs.requires_grad_()

    scores = tree_log_likelihoods(tree, log_probs, torch.tensor([5, 0, 10]))
    scores.sum().backward()

    assert scores[0, WORDS.index((0, 0, 0, 0))] == LOG_ZERO
    assert (scores[1] == LOG_ZERO).all()
    assert log_probs.grad is not None
    assert torch.isfinite(log_probs.grad).all()
    assert not log_probs.grad[0, 5:].any()
    assert not log_probs.grad[1].any()
    assert log_probs.grad[2].abs().sum() > 0
    # every path of a word passes each frame once, so a frame's gradients sum to the words that fit
    torch.testing.assert_close(log_probs.grad[0, :5].sum(-1), torch.full((5,), float((scores[0] > LOG_ZERO).sum())))


@pytest.mark.parametrize(("sharpness", "exact"), [(0.5, True), (3.0, True), (12.0, False)])
def test_what_outgrows_float64_in_long_audio_is_noticed(tree: PrefixTree, sharpness: float, exact: bool) -> None:
    num_frames = torch.tensor([900, 700])
    log_probs = random_log_probs(2, 900, NUM_COLUMNS, sharpness=sharpness)

    assert tree_scores._TreeScores.apply(log_probs, num_frames, tree)[1].tolist() == [exact, exact]

    scores = tree_log_likelihoods(tree, log_probs, num_frames)
    torch.testing.assert_close(scores, expected_scores(log_probs, num_frames.tolist()), rtol=2e-6, atol=1e-5)


def test_an_utterance_outside_float64_leaves_the_others_alone(tree: PrefixTree) -> None:
    log_probs = random_log_probs(2, 20, NUM_COLUMNS)
    log_probs[0, :, -1] = -math.inf
    log_probs.requires_grad_()
    num_frames = torch.tensor([20, 20])

    both = tree_log_likelihoods(tree, log_probs, num_frames)
    both.sum().backward()
    alone = log_probs.detach()[1:].clone().requires_grad_()
    single = tree_log_likelihoods(tree, alone, num_frames[1:])
    single.sum().backward()

    assert log_probs.grad is not None
    assert alone.grad is not None
    torch.testing.assert_close(both[1:], single)
    torch.testing.assert_close(log_probs.grad[1:], alone.grad)
    assert torch.isfinite(log_probs.grad).all()
    assert log_probs.grad[0].abs().sum() > 0


def test_portions_change_nothing(tree: PrefixTree, monkeypatch: pytest.MonkeyPatch) -> None:
    num_frames = torch.tensor([12, 9, 0, 7, 12])
    whole = random_log_probs(5, 12, NUM_COLUMNS).requires_grad_()
    parts = whole.detach().clone().requires_grad_()
    expected = tree_log_likelihoods(tree, whole, num_frames)
    expected.logsumexp(dim=1).sum().backward()

    monkeypatch.setattr(tree_scores, "_MAX_CELLS", 1)  # an utterance at a time
    scores = tree_log_likelihoods(tree, parts, num_frames)
    scores.logsumexp(dim=1).sum().backward()

    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(parts.grad, whole.grad)
