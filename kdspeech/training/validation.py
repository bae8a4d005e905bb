"""Validation while training: word recognition accuracy of both heads, never a distillation loss.

Shapes: B batch, T frames, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from kdspeech.decoding.autoregressive import greedy_decoder
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.hypothesis import Hypothesis
from kdspeech.losses import ctc_loss
from kdspeech.protocols import Student
from kdspeech.scoring.score import score_texts
from kdspeech.training.batches import Batch

_NUM_SAMPLES = 8  # hypotheses that a log shows


@dataclass(frozen=True)
class SampleHypothesis:
    """What was heard in one utterance."""

    utt_id: str
    reference: str
    ctc: str
    decoder: str | None  # None where the decoder was not listened to


@dataclass(frozen=True)
class ValidationResult:
    """How the student does on held-back productions of the training speakers."""

    ctc_wra: float  # %, greedy CTC
    decoder_wra: float | None  # %, autoregressive decoder; None where it was not listened to
    ctc_loss: float  # nats a token
    correct: int  # utterances that greedy CTC has right
    total: int
    samples: tuple[SampleHypothesis, ...] = ()  # the same utterances in every epoch

    @property
    def score(self) -> float:
        """CTC WRA as a fraction; among equals the lower loss wins, since its term stays below half an utterance."""
        return (self.correct - 0.5 * self.ctc_loss / (1 + self.ctc_loss)) / self.total


@dataclass
class Validation:
    """Collects the hypotheses of one pass over the validation set."""

    with_decoder: bool = True
    references: dict[str, str] = field(default_factory=dict)
    by_ctc: dict[str, str] = field(default_factory=dict)
    by_decoder: dict[str, str] = field(default_factory=dict)
    loss_sum: float = 0.0  # nats
    num_tokens: int = 0

    @torch.inference_mode()
    def add(self, student: Student, batch: Batch) -> None:
        """Decodes a batch with the CTC head and, if asked for, the decoder."""
        encoded = student.encode(batch.waveforms, batch.lengths)
        log_probs = student.ctc_log_probs(encoded)  # [B, T, V+1]
        vocabulary = student.vocabulary
        loss = ctc_loss(log_probs, encoded.num_frames, batch.tokens, batch.num_tokens, vocabulary.blank_id)
        self.loss_sum += float(loss.sum)
        self.num_tokens += int(loss.count)
        self.references.update(zip(batch.utt_ids, batch.texts, strict=True))
        _keep(self.by_ctc, batch.utt_ids, greedy_ctc(log_probs, encoded.num_frames, vocabulary))
        if self.with_decoder:
            _keep(self.by_decoder, batch.utt_ids, greedy_decoder(student, encoded, encoded.num_frames))

    def result(self) -> ValidationResult:
        """Scores what was collected."""
        ctc = score_texts(self.references, self.by_ctc)
        decoder_wra = score_texts(self.references, self.by_decoder).wra if self.with_decoder else None
        loss = self.loss_sum / self.num_tokens
        return ValidationResult(ctc.wra, decoder_wra, loss, ctc.correct, ctc.utterances, self._samples())

    def _samples(self) -> tuple[SampleHypothesis, ...]:
        """A few utterances, spread over the ids in their order."""
        utt_ids = sorted(self.references)
        chosen = utt_ids[:: -(-len(utt_ids) // _NUM_SAMPLES)] if utt_ids else []
        return tuple(
            SampleHypothesis(utt_id, self.references[utt_id], self.by_ctc[utt_id], self.by_decoder.get(utt_id))
            for utt_id in chosen
        )


def _keep(texts: dict[str, str], utt_ids: Sequence[str], hypotheses: Sequence[Hypothesis]) -> None:
    texts.update((utt_id, hypothesis.text) for utt_id, hypothesis in zip(utt_ids, hypotheses, strict=True))
