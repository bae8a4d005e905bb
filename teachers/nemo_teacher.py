"""A NeMo model as a teacher: CTC, or the CTC head of a hybrid transducer-CTC model.

NeMo masks padding, so batches are safe (a test holds it to that).
Symbols: B batch, N samples, T frames, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch

from kdspeech.audio import SAMPLE_RATE
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.errors import TeacherError
from kdspeech.files import sha256_of_file, sha256_of_folder
from kdspeech.padded_batches import PaddedBatch, padded_batches
from kdspeech.protocols import ScoredText, TeacherCard, TeacherScores
from kdspeech.teachers.layout import ColumnMap, check_num_frames
from kdspeech.teachers.toolkits import import_nemo_asr, load_errors
from kdspeech.vocabulary import Vocabulary

_BATCH_SIZE = 16  # utterances


class NemoTeacher:
    """Implements `kdspeech.protocols.Teacher`; it has no attention decoder."""

    def __init__(self, source: str, teacher_id: str) -> None:
        """Loads a model.

        Args:
            source: a .nemo file or a published name.

        Raises:
            TeacherError: it cannot be loaded, or lacks what a teacher needs.
        """
        self._name = f"teacher {teacher_id} ({source})"
        self._model, checkpoint = _load(source, self._name)
        self._hybrid = self._check_kind()
        tokenizer = getattr(getattr(self._model, "tokenizer", None), "tokenizer", None)
        if not isinstance(tokenizer, sentencepiece.SentencePieceProcessor):
            raise TeacherError(
                f"{self._name}: its tokenizer is a {type(tokenizer).__name__}; expected one SentencePiece model. "
                "Use a model with subword units."
            )
        self.vocabulary = Vocabulary(tokenizer)
        self.card = TeacherCard(teacher_id, "nemo", source, None, checkpoint, self.vocabulary.sha256)
        self.frame_shift_s = self._frame_shift_s()

    def score(self, waveforms: Sequence[np.ndarray], token_ids: Sequence[Sequence[int]]) -> list[TeacherScores]:
        """Scores utterances; see `kdspeech.protocols.Teacher.score`.

        Raises:
            TeacherError, VocabularyError: the output does not fit the vocabulary or the audio.
        """
        if len(waveforms) != len(token_ids):
            raise ValueError(f"{len(waveforms)} waveforms and {len(token_ids)} transcripts")
        scores: dict[int, TeacherScores] = {}
        for batch in padded_batches(waveforms, _BATCH_SIZE, device=self._model.device):
            scores |= zip(batch.numbers, self._score_batch(batch), strict=True)
        return [scores[i] for i in range(len(waveforms))]

    def _score_batch(self, batch: PaddedBatch) -> list[TeacherScores]:
        with torch.inference_mode():
            log_probs, num_frames = self._ctc_log_probs(batch.signal, batch.lengths)
        layout = ColumnMap.for_ctc(
            f"{self._name}, CTC head", self.vocabulary, log_probs.shape[-1], log_probs.shape[-1] - 1
        )
        scores = []
        lengths = batch.lengths.tolist()
        for num_samples, rows, frames in zip(lengths, log_probs.float().cpu(), num_frames.tolist(), strict=True):
            check_num_frames(self._name, frames, num_samples, self.frame_shift_s)
            ctc = layout.apply(rows[:frames].numpy())  # [T, V+1]
            best = greedy_ctc(torch.from_numpy(ctc)[None], torch.tensor([frames]), self.vocabulary)[0]
            scores.append(TeacherScores(ctc, None, (ScoredText(best.text, best.log_prob, "ctc"),)))
        return scores

    def _ctc_log_probs(self, signal: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, N] -> [B, T, V+1], blank last (NeMo's convention), and int64 [B]; T may exceed every length."""
        outputs = self._model.forward(input_signal=signal, input_signal_length=lengths)
        if not self._hybrid:
            return outputs[0], outputs[1]
        encoded, num_frames = outputs[0], outputs[1]  # [B, D, T]
        return self._model.ctc_decoder(encoder_output=encoded), num_frames

    def _check_kind(self) -> bool:
        """True for a hybrid, False for CTC.

        Raises:
            TeacherError: any other kind.
        """
        from nemo.collections.asr.models import EncDecCTCModel, EncDecHybridRNNTCTCModel, EncDecRNNTModel

        if isinstance(self._model, EncDecHybridRNNTCTCModel):
            return True
        if isinstance(self._model, EncDecCTCModel):
            return False
        kind = type(self._model).__name__
        if isinstance(self._model, EncDecRNNTModel):
            raise TeacherError(
                f"{self._name} is a pure transducer ({kind}): it gives no log-probs per frame to learn from. "
                "Use a CTC model, or a hybrid transducer-CTC model, whose CTC head teaches."
            )
        raise TeacherError(f"{self._name} is a {kind}; expected a CTC or a hybrid transducer-CTC model.")

    def _frame_shift_s(self) -> float:
        config = self._model.cfg.preprocessor
        factor = getattr(self._model.encoder, "subsampling_factor", None)
        if factor is None:
            kind = type(self._model.encoder).__name__
            raise TeacherError(f"{self._name}: its encoder ({kind}) does not say its subsampling factor. Use another.")
        if config.sample_rate != SAMPLE_RATE:
            raise TeacherError(
                f"{self._name} was made for audio at {config.sample_rate} Hz; expected {SAMPLE_RATE} Hz. "
                "Use another model."
            )
        return float(config.window_stride) * int(factor)


def _load(source: str, name: str) -> tuple[Any, str]:
    """Loads a model in eval mode, and the hash of its .nemo file.

    Raises:
        TeacherError: it is missing, unreachable or not a NeMo model.
    """
    models = import_nemo_asr().models
    try:
        if source.endswith(".nemo"):
            path = Path(source)
            model = models.ASRModel.restore_from(str(path))
        else:
            path = Path(models.ASRModel.from_pretrained(source, return_model_file=True))
            model = models.ASRModel.from_pretrained(source)
    except load_errors() as error:
        raise TeacherError(
            f"{name} cannot be loaded as a NeMo model: {error}. Expected a .nemo file, or a published name that can be "
            "reached or was downloaded before."
        ) from error
    return model.eval(), sha256_of_folder(path) if path.is_dir() else sha256_of_file(path)
