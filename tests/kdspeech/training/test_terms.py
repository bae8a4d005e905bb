"""The terms of a step: values and counts by hand, what they need, and that each reaches student and total."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kdspeech.config import FrameKlConfig
from kdspeech.losses import NBest
from kdspeech.protocols import Encoded, StudentOutput
from kdspeech.training.batches import Batch
from kdspeech.training.terms import Heard, TermSettings, listen, loss_terms
from kdspeech.vocabulary import Vocabulary

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
    settings = TermSettings(BLANK, TEMPERATURE, label_smoothing)
    found = loss_terms(names, Heard(batch(), output(extra_frames)), settings)
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
    names = ("frame_kl", "token_kl", "ctc", "word_kl", "nbest_ctc", "nbest_cross_entropy", "intermediate_ctc")
    assert set(loss_terms(names, Heard(bare, output()), TermSettings(BLANK))) == {"ctc"}


def test_gradient_reaches_the_student() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    shaped = output()
    made = StudentOutput(F.log_softmax(logits, dim=-1), shaped.num_frames, shaped.decoder_log_probs)
    loss_terms(("frame_kl",), Heard(batch(), made), TermSettings(BLANK, TEMPERATURE))["frame_kl"].sum.backward()
    counted = batch().frame_mask
    assert logits.grad is not None
    assert counted is not None
    assert logits.grad[counted].abs().sum() > 0
    assert logits.grad[~counted].abs().sum() == 0


def test_weights_weigh_the_hard_terms_and_transcripts_alone_have_token_targets() -> None:
    """The second utterance has a pseudo-label of confidence 0.5: half of its tokens count, and no teacher's decoder."""
    mask = torch.tensor([[True, True, True], [False, False, False]])
    weighted = batch()._replace(weights=torch.tensor([1.0, 0.5]), token_mask=mask)
    names = ("ctc", "cross_entropy", "token_kl")
    found = loss_terms(names, Heard(weighted, output()), TermSettings(BLANK, TEMPERATURE))
    assert float(found["ctc"].sum) == pytest.approx(-math.log(5 / 64) - 0.5 * math.log(3 / 16), rel=1e-5)
    assert float(found["ctc"].count) == pytest.approx(2 + 0.5 * 1)
    assert float(found["cross_entropy"].count) == pytest.approx(3 + 0.5 * 2)
    assert float(found["token_kl"].count) == 3 * 2 / 1  # as if the second utterance's positions agreed


class _TwoWords:
    """Scores two words by how often a frame says the first or the second piece."""

    def word_log_likelihoods(self, log_probs: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
        return log_probs[..., :2].sum(dim=1)


def test_a_recording_pulls_as_hard_where_others_have_no_targets_as_where_all_have() -> None:
    """Alone with targets, the first utterance has the gradient that it has beside a second one that counts."""
    words = torch.log_softmax(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), dim=-1)
    targets = torch.log_softmax(torch.tensor([3.0, 1.0, 0.0, 0.0]), dim=-1).expand(2, 3, 4)
    equal = torch.tensor([[True, True, True]] * 2)  # as many rows in both utterances
    given = batch()._replace(
        frame_targets=targets, frame_mask=equal, token_targets=targets, token_mask=equal, word_targets=words,
        word_mask=torch.tensor([True, True]), has_frame_targets=torch.tensor([True, True]),
    )  # fmt: skip
    first = torch.tensor([True, False])
    alone = given._replace(
        frame_mask=equal & first[:, None], token_mask=equal & first[:, None], word_mask=first, has_frame_targets=first
    )

    def gradients(batch: Batch, name: str) -> torch.Tensor:
        rows = torch.zeros(2, 3, 4, requires_grad=True)
        said = torch.log_softmax(rows, dim=-1)
        settings = TermSettings(BLANK, TEMPERATURE, scorer=_TwoWords())  # type: ignore[arg-type]
        heard = Heard(batch, StudentOutput(said, torch.tensor([3, 3]), said))
        loss_terms((name,), heard, settings)[name].mean.backward()
        assert rows.grad is not None
        return rows.grad

    for name in ("frame_kl", "token_kl", "word_kl"):
        together, single = gradients(given, name), gradients(alone, name)
        assert single[0].abs().max() > 1e-3
        torch.testing.assert_close(single[0], together[0])
        assert single[1].abs().max() == 0


def says(*columns: int) -> torch.Tensor:
    """[T, 4], nearly certain of one column a frame."""
    return torch.log_softmax(12.0 * F.one_hot(torch.tensor(columns), 4).float(), dim=-1)


def frame_kl(
    options: FrameKlConfig | None, targets: torch.Tensor, mask: list[list[bool]], taught: bool = True
) -> tuple[float, int]:
    """Of a student that spikes at frame 2 of 5, and again, wrongly, at frame 4; the blank is certain elsewhere."""
    heard = StudentOutput(torch.stack([says(3, 3, 0, 3, 1)]), torch.tensor([5]), None)
    given = batch()._replace(
        frame_targets=targets[None], frame_mask=torch.tensor(mask), has_frame_targets=torch.tensor([taught])
    )
    settings = TermSettings(BLANK, 1.0, frame_kl=options, blank_threshold=0.9)
    term = loss_terms(("frame_kl",), Heard(given, heard), settings)["frame_kl"]
    return float(term.sum), int(term.count)


def test_frame_kl_looks_where_its_options_say() -> None:
    early, mask = says(3, 0, 3, 3, 3), [[True, True, True, False, False]]  # the teachers spike one frame earlier
    plain, count = frame_kl(None, early, mask)
    assert count == 3
    assert plain > 20  # two frames are wholly wrong
    assert frame_kl(FrameKlConfig(), early, mask) == (pytest.approx(plain), 3)
    assert frame_kl(FrameKlConfig(delay=1), early, mask) == (pytest.approx(0.0, abs=1e-4), 3)
    symmetric, count = frame_kl(FrameKlConfig(symmetric=0), early, mask)
    assert count == 4  # the student's own spike at frame 4 as well
    assert symmetric == pytest.approx(plain + plain / 2, rel=1e-4)
    assert frame_kl(FrameKlConfig(symmetric=1), early, mask)[1] == 5
    assert frame_kl(FrameKlConfig(symmetric=0), early, [[False] * 5])[1] == 2  # teachers that are sure of the blank
    assert frame_kl(FrameKlConfig(symmetric=1), early, [[False] * 5], taught=False)[1] == 0  # no targets at all


def test_intermediate_terms_are_those_of_the_second_head() -> None:
    sharp = torch.stack([says(0, 3, 1), says(2, 3, 3)])
    made = replace(output(), intermediate_log_probs=sharp)
    names = ("ctc", "frame_kl", "intermediate_ctc", "intermediate_frame_kl")
    found = loss_terms(names, Heard(batch(), made), TermSettings(BLANK, TEMPERATURE))
    swapped = StudentOutput(sharp, made.num_frames, None)
    alone = loss_terms(("ctc", "frame_kl"), Heard(batch(), swapped), TermSettings(BLANK, TEMPERATURE))
    assert float(found["intermediate_ctc"].sum) == pytest.approx(float(alone["ctc"].sum))
    assert float(found["intermediate_frame_kl"].sum) == pytest.approx(float(alone["frame_kl"].sum))
    assert float(found["intermediate_ctc"].sum) < 0.01 < float(found["ctc"].sum)


def hypotheses() -> NBest:
    """Of the first utterance [0, 1] and [2], three to one; of the second [2] alone."""
    tokens = torch.tensor([[0, 1], [2, BLANK], [2, BLANK]])
    return NBest(tokens, torch.tensor([2, 1, 1]), torch.tensor([0, 0, 1]), torch.tensor([0.75, 0.25, 1.0]))


def test_nbest_terms_by_hand() -> None:
    heard = Heard(batch()._replace(hypotheses=hypotheses()), output(), torch.full((3, 3, 4), 0.25).log())
    found = loss_terms(("nbest_ctc", "nbest_cross_entropy"), heard, TermSettings(BLANK, TEMPERATURE))
    ways = 0.75 * math.log(5 / 64) + 0.25 * math.log(6 / 64) + math.log(3 / 16)  # alignments over 3, 3 and 2 frames
    assert float(found["nbest_ctc"].sum) == pytest.approx(-ways, rel=1e-5)
    assert float(found["nbest_ctc"].count) == pytest.approx(0.75 * 2 + 0.25 + 1)
    assert float(found["nbest_cross_entropy"].sum) == pytest.approx((0.75 * 3 + 0.25 * 2 + 2) * math.log(4), rel=1e-5)
    assert float(found["nbest_cross_entropy"].count) == pytest.approx(0.75 * 3 + 0.25 * 2 + 2)


class Talker(torch.nn.Module):
    """Its CTC log-probs depend on weight and call; its decoder writes down what it was given."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.weight = torch.nn.Parameter(torch.randn(3, vocabulary.num_columns))
        self.inputs: list[torch.Tensor] = []

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor, decoder_inputs: torch.Tensor | None) -> Any:
        views = torch.arange(1, len(waveforms) + 1)[:, None, None]
        log_probs = (self.weight * views).log_softmax(dim=-1)  # [B, 3, V+1]
        decoded = None if decoder_inputs is None else torch.zeros(*decoder_inputs.shape, 4)
        encoded = Encoded(log_probs, torch.full((len(waveforms),), 3))
        return StudentOutput(log_probs, encoded.num_frames, decoded, encoded=encoded)

    def decoder_log_probs(self, encoded: Encoded, decoder_inputs: torch.Tensor) -> torch.Tensor:
        self.inputs.append(decoder_inputs)
        return encoded.states[:, :1].expand(-1, decoder_inputs.shape[1], -1)


def test_listen_hears_what_the_terms_need_and_no_more(vocabulary: Vocabulary) -> None:
    student, given = Talker(vocabulary), batch()._replace(hypotheses=hypotheses())
    assert listen(student, given, ("ctc", "nbest_ctc")).output.decoder_log_probs is None
    assert listen(student, given, ("token_kl",)).output.decoder_log_probs is not None
    assert not student.inputs
    heard = listen(student, given, ("nbest_cross_entropy",))
    end = vocabulary.end_id
    assert student.inputs[0].tolist() == [[end, 0, 1], [end, 2, BLANK], [end, 2, BLANK]]
    assert heard.hypothesis_log_probs is not None
    of_utterance = heard.output.ctc_log_probs[[0, 0, 1], :1].expand(-1, 3, -1)
    assert torch.equal(heard.hypothesis_log_probs, of_utterance)


def test_a_batch_in_which_no_teacher_heard_anything_costs_nothing(vocabulary: Vocabulary) -> None:
    student = Talker(vocabulary)
    whole = torch.zeros(0, dtype=torch.int64)
    silent = NBest(torch.zeros(0, 0, dtype=torch.int64), whole, whole, torch.zeros(0))
    heard = listen(student, batch()._replace(hypotheses=silent), ("nbest_ctc", "nbest_cross_entropy"))
    terms = loss_terms(("nbest_ctc", "nbest_cross_entropy"), heard, TermSettings(vocabulary.blank_id))
    assert all(term.mean.requires_grad for term in terms.values())  # also where it is the only term
    assert {name: (float(term.mean.detach()), float(term.count)) for name, term in terms.items()} == {
        "nbest_ctc": (0.0, 0.0), "nbest_cross_entropy": (0.0, 0.0),
    }  # fmt: skip


def test_consistency_hears_each_recording_twice_and_teaches_both_views(vocabulary: Vocabulary) -> None:
    student = Talker(vocabulary)
    heard = listen(student, batch()._replace(hypotheses=hypotheses()), ("ctc", "consistency"))
    assert heard.batch.utt_ids == ("a", "b", "a", "b")
    assert heard.batch.hypotheses is not None
    assert heard.batch.hypotheses.utterances.tolist() == [0, 0, 1, 2, 2, 3]
    term = loss_terms(("consistency",), heard, TermSettings(vocabulary.blank_id))["consistency"]
    first, second = heard.output.ctc_log_probs[:2].double(), heard.output.ctc_log_probs[2:].double()
    both = 0.5 * ((first.exp() - second.exp()) * (first - second)).sum()  # KL(p|q) + KL(q|p)
    assert term.sum.item() == pytest.approx(both.item(), rel=1e-4)
    assert int(term.count) == 6
    term.sum.backward()
    assert student.weight.grad is not None
    assert student.weight.grad.abs().sum() > 0


def test_without_consistency_nothing_is_heard_twice(vocabulary: Vocabulary) -> None:
    assert listen(Talker(vocabulary), batch(), ("ctc",)).batch.utt_ids == ("a", "b")


def test_without_the_blank_the_frames_pieces_are_compared_by_themselves() -> None:
    """Targets 0.5, 0.3, 0.2 and no blank; the student's pieces are uniform, its blank is left alone."""
    target = torch.tensor([0.5, 0.3, 0.2, 0.0]).log().clamp(min=-1e4).expand(2, 3, 4)
    frames = torch.tensor([0.05, 0.05, 0.05, 0.85]).log().repeat(2, 3, 1).requires_grad_()
    heard = Heard(batch()._replace(frame_targets=target), StudentOutput(frames, torch.tensor([3, 2]), None))
    cut = loss_terms(("frame_kl",), heard, TermSettings(BLANK, TEMPERATURE, without_blank=True))["frame_kl"]
    divergence = sum(p * math.log(p * 3) for p in (0.5, 0.3, 0.2))
    assert float(cut.sum.detach()) == pytest.approx(3 * TEMPERATURE**2 * divergence, rel=1e-5)
    cut.sum.backward()
    assert frames.grad is not None
    assert frames.grad[..., BLANK].abs().max() == 0
