"""The terms of a step's loss: what the student has to say for them, and one small function for each.

Shapes: B batch, T frames, U decoder positions, V vocabulary, N hypotheses of all utterances of a batch.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdspeech.choices import LossTerm
from kdspeech.config import FrameKlConfig
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.losses import (
    LossSum,
    consistency_kl,
    cross_entropy,
    ctc_loss,
    delay_tolerant_kl,
    masked_kl,
    nbest_cross_entropy,
    nbest_ctc_loss,
    symmetric_mask,
    word_posterior_kl,
)
from kdspeech.protocols import Encoded, StudentOutput
from kdspeech.training.batches import Batch, twice

_WITH_DECODER = {"cross_entropy", "token_kl"}  # terms of the decoder on what the batch says


@dataclass(frozen=True)
class TermSettings:
    """What terms need beside the batch."""

    blank_id: int
    temperature: float = 1.0  # of the distillation targets
    label_smoothing: float = 0.0
    scorer: LexiconScorer | None = None  # of the lexicon; `word_kl` needs it
    frame_kl: FrameKlConfig | None = None  # None: the teachers' frames, one by one
    blank_threshold: float = 0.95  # a frame is a spike of the student's while its blank is below it
    without_blank: bool = False  # frames are compared over the pieces only, renormalised on both sides


@dataclass(frozen=True)
class Heard:
    """One step's forward passes."""

    batch: Batch  # with `consistency` each utterance twice: its first views, then its second ones
    output: StudentOutput
    hypothesis_log_probs: Tensor | None = None  # [N, U+1, V+1], the decoder on the teachers' hypotheses


def listen(student: Any, batch: Batch, names: Collection[str]) -> Heard:
    """What these terms need to hear, and no more.

    Args:
        student: a `kdspeech.protocols.Student`; its SpecAugment and dropout differ between two views of a recording.
    """
    if "consistency" in names:
        batch = twice(batch)
    with_decoder = not _WITH_DECODER.isdisjoint(names)
    output = student(batch.waveforms, batch.lengths, batch.decoder_inputs if with_decoder else None)
    if "nbest_cross_entropy" not in names or batch.hypotheses is None or output.encoded is None:
        return Heard(batch, output)
    tokens, _, utterances, _ = batch.hypotheses
    said = F.pad(tokens, (1, 0), value=student.vocabulary.end_id)
    if len(said) == 0:  # a decoder cannot be run on nothing, and where it alone learns, nothing must be of its graph
        one = Encoded(output.encoded.states[:1], output.num_frames[:1])
        end = torch.full((1, said.shape[1]), student.vocabulary.end_id, device=said.device)
        return Heard(batch, output, student.decoder_log_probs(one, end)[:0])
    encoded = Encoded(output.encoded.states[utterances], output.num_frames[utterances])
    return Heard(batch, output, student.decoder_log_probs(encoded, said))


def loss_terms(names: Sequence[str], heard: Heard, settings: TermSettings) -> dict[str, LossSum]:
    """The named terms, each as sum and count; those for which the batch has no data are left out."""
    found = {name: _TERMS[name](heard, settings) for name in names}
    return {name: term for name, term in found.items() if term is not None}


def _ctc(heard: Heard, settings: TermSettings) -> LossSum | None:
    return _ctc_of(heard.output.ctc_log_probs, heard, settings)


def _intermediate_ctc(heard: Heard, settings: TermSettings) -> LossSum | None:
    log_probs = heard.output.intermediate_log_probs
    return None if log_probs is None else _ctc_of(log_probs, heard, settings)


def _ctc_of(log_probs: Tensor, heard: Heard, settings: TermSettings) -> LossSum:
    batch = heard.batch
    num_frames = heard.output.num_frames
    return ctc_loss(log_probs, num_frames, batch.tokens, batch.num_tokens, settings.blank_id, batch.weights)


def _over_all(term: LossSum, taught: Tensor | None) -> LossSum:
    """The same sum over a batch in which recordings without targets count, too, as much as the others in the mean.

    So a recording weighs as much where few have targets as where all have: otherwise a tenth with targets would pull
    ten times as hard as it does beside the others, against what the hard terms say of them all.

    Args:
        taught: bool [B], recordings with targets; None: all.
    """
    if taught is None:
        return term
    return LossSum(term.sum, term.count * len(taught) / taught.sum().clamp(min=1))


def _frame_kl(heard: Heard, settings: TermSettings) -> LossSum | None:
    return _frame_kl_of(heard.output.ctc_log_probs, heard, settings)


def _intermediate_frame_kl(heard: Heard, settings: TermSettings) -> LossSum | None:
    log_probs = heard.output.intermediate_log_probs
    return None if log_probs is None else _frame_kl_of(log_probs, heard, settings)


def _frame_kl_of(log_probs: Tensor, heard: Heard, settings: TermSettings) -> LossSum | None:
    targets, mask, options = heard.batch.frame_targets, heard.batch.frame_mask, settings.frame_kl
    if targets is None or mask is None:
        return None
    log_probs = log_probs[:, : mask.shape[1]]  # T may exceed the longest utterance's frames
    columns = slice(0, settings.blank_id if settings.without_blank else None)  # the blank is the last one
    targets = targets[..., columns]
    taught = heard.batch.has_frame_targets
    if options is None:
        return _over_all(masked_kl(log_probs[..., columns], targets, mask, settings.temperature), taught)
    num_frames = heard.output.num_frames
    if options.symmetric is not None:
        blank = log_probs[..., settings.blank_id]
        spikes = symmetric_mask(mask, blank, num_frames, settings.blank_threshold, options.symmetric)
        mask = spikes if taught is None else taught[:, None] & spikes  # without targets no spike has anything to learn
    term = delay_tolerant_kl(log_probs[..., columns], targets, mask, num_frames, settings.temperature, options.delay)
    return _over_all(term, taught)


def _word_kl(heard: Heard, settings: TermSettings) -> LossSum | None:
    if heard.batch.word_targets is None or settings.scorer is None:
        return None
    scores = settings.scorer.word_log_likelihoods(heard.output.ctc_log_probs, heard.output.num_frames)
    counts = heard.batch.word_mask
    if counts is None:
        counts = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    return _over_all(word_posterior_kl(scores, heard.batch.word_targets, counts, settings.temperature), counts)


def _cross_entropy(heard: Heard, settings: TermSettings) -> LossSum | None:
    rows, batch = heard.output.decoder_log_probs, heard.batch
    if rows is None:
        return None
    return cross_entropy(rows, batch.decoder_targets, batch.decoder_mask, settings.label_smoothing, batch.weights)


def _token_kl(heard: Heard, settings: TermSettings) -> LossSum | None:
    rows, targets, mask = heard.output.decoder_log_probs, heard.batch.token_targets, heard.batch.token_mask
    if rows is None or targets is None or mask is None:
        return None
    return _over_all(masked_kl(rows, targets, mask, settings.temperature), mask.any(dim=1))


def _consistency(heard: Heard, settings: TermSettings) -> LossSum | None:
    """Over all recordings, labelled or not: views agree without a transcript."""
    first, second = heard.output.ctc_log_probs.chunk(2)  # [B, T, V+1] each
    return consistency_kl(first, second, *heard.output.num_frames.chunk(2))


def _nbest_ctc(heard: Heard, settings: TermSettings) -> LossSum | None:
    hypotheses, output = heard.batch.hypotheses, heard.output
    if hypotheses is None:
        return None
    return nbest_ctc_loss(output.ctc_log_probs, output.num_frames, hypotheses, settings.blank_id)


def _nbest_cross_entropy(heard: Heard, settings: TermSettings) -> LossSum | None:
    rows, hypotheses = heard.hypothesis_log_probs, heard.batch.hypotheses
    if rows is None or hypotheses is None:
        return None
    return nbest_cross_entropy(rows, hypotheses, settings.blank_id)  # the end of sentence has the blank's column


_TERMS: Mapping[LossTerm | str, Callable[[Heard, TermSettings], LossSum | None]] = {
    "ctc": _ctc,
    "cross_entropy": _cross_entropy,
    "frame_kl": _frame_kl,
    "token_kl": _token_kl,
    "word_kl": _word_kl,
    "consistency": _consistency,
    "intermediate_ctc": _intermediate_ctc,
    "intermediate_frame_kl": _intermediate_frame_kl,
    "nbest_ctc": _nbest_ctc,
    "nbest_cross_entropy": _nbest_cross_entropy,
}
