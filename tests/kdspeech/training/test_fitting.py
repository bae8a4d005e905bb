"""The loss terms of a step, and the means over an epoch."""

import math

import pytest
import torch
import torch.nn.functional as F

from kdspeech.protocols import StudentOutput
from kdspeech.training.batches import Batch
from kdspeech.training.fitting import loss_terms

BLANK = 3
TEMPERATURE = 2.0


def batch() -> Batch:
    """Two utterances of 3 and 2 frames, tokens [0, 1] and [2]; targets uniform."""
    uniform = torch.full((2, 3, 4), 0.25).log()
    return Batch(
        utt_ids=("a", "b"),
        texts=("x", "y"),
        waveforms=torch.zeros(2, 8),
        lengths=torch.tensor([8, 6]),
        tokens=torch.tensor([[0, 1], [2, BLANK]]),
        num_tokens=torch.tensor([2, 1]),
        decoder_inputs=torch.tensor([[BLANK, 0, 1], [BLANK, 2, BLANK]]),
        decoder_targets=torch.tensor([[0, 1, BLANK], [2, BLANK, BLANK]]),
        decoder_mask=torch.tensor([[True, True, True], [True, True, False]]),
        weights=torch.ones(2),
        frame_targets=uniform,
        frame_mask=torch.tensor([[True, True, False], [True, False, False]]),
        token_targets=uniform,
        token_mask=torch.tensor([[True, True, True], [True, True, False]]),
    )


def output(extra_frames: int = 0) -> StudentOutput:
    """Uniform, on 3 frames; more frames than the longest utterance has are garbage."""
    frames = torch.full((2, 3 + extra_frames, 4), 0.25).log()
    frames[:, 3:] = torch.tensor([0.97, 0.01, 0.01, 0.01]).log()
    return StudentOutput(frames, torch.tensor([3, 2]), torch.full((2, 3, 4), 0.25).log())


def terms(*names: str, extra_frames: int = 0, label_smoothing: float = 0.0) -> dict[str, tuple[float, int]]:
    found = loss_terms(names, output(extra_frames), batch(), BLANK, TEMPERATURE, label_smoothing)
    return {name: (float(term.sum), int(term.count)) for name, term in found.items()}


def test_counts_and_values_by_hand() -> None:
    found = terms("ctc", "cross_entropy", "frame_kl", "token_kl")
    # 5 alignments of [0, 1] over 3 frames, 3 of [2] over 2, each of probability 4^-frames
    ways = -torch.tensor([5 / 64, 3 / 16]).log().sum()
    assert found["ctc"] == (pytest.approx(float(ways), rel=1e-5), 3)
    assert found["cross_entropy"] == (pytest.approx(5 * float(torch.tensor(4.0).log()), rel=1e-5), 5)
    assert found["frame_kl"] == (pytest.approx(0.0, abs=1e-6), 3)
    assert found["token_kl"] == (pytest.approx(0.0, abs=1e-6), 5)


def test_only_named_terms_are_computed() -> None:
    assert set(terms("ctc")) == {"ctc"}
    assert set(terms("cross_entropy", "token_kl")) == {"cross_entropy", "token_kl"}


def test_frames_beyond_the_longest_utterance_do_not_count() -> None:
    assert terms("ctc", "frame_kl", extra_frames=2) == terms("ctc", "frame_kl")


def test_terms_of_absent_targets_are_left_for_the_weighted_sum_to_miss() -> None:
    bare = batch()._replace(frame_targets=None, frame_mask=None, token_targets=None)
    assert set(loss_terms(("frame_kl", "token_kl", "ctc"), output(), bare, BLANK, 1.0, 0.0)) == {"ctc"}


def test_gradient_reaches_the_student() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    shaped = output()
    made = StudentOutput(F.log_softmax(logits, dim=-1), shaped.num_frames, shaped.decoder_log_probs)
    loss_terms(("frame_kl",), made, batch(), BLANK, TEMPERATURE, 0.0)["frame_kl"].sum.backward()
    counted = batch().frame_mask
    assert logits.grad is not None
    assert counted is not None
    assert logits.grad[counted].abs().sum() > 0
    assert logits.grad[~counted].abs().sum() == 0


def test_weights_weigh_the_hard_terms_and_transcripts_alone_have_token_targets() -> None:
    """The second utterance has a pseudo-label of confidence 0.5: half of its tokens count, and no teacher's decoder."""
    mask = torch.tensor([[True, True, True], [False, False, False]])
    weighted = batch()._replace(weights=torch.tensor([1.0, 0.5]), token_mask=mask)
    found = loss_terms(("ctc", "cross_entropy", "token_kl"), output(), weighted, BLANK, TEMPERATURE, 0.0)
    assert float(found["ctc"].sum) == pytest.approx(-math.log(5 / 64) - 0.5 * math.log(3 / 16), rel=1e-5)
    assert float(found["ctc"].count) == pytest.approx(2 + 0.5 * 1)
    assert float(found["cross_entropy"].count) == pytest.approx(3 + 0.5 * 2)
    assert int(found["token_kl"].count) == 3
