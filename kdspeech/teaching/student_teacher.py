"""A student that has learnt one speaker, as a teacher: the student's own frames, pieces and heads.

Shapes: B batch, N samples, T frames, U decoder positions (tokens + end of sentence), V vocabulary.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from kdspeech.choices import NEMO
from kdspeech.decoding.autoregressive import greedy_decoder
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.errors import TeacherError
from kdspeech.model_folders.student_folder import load_saved, read_student, student_sha256
from kdspeech.padded_batches import PaddedBatch, padded_batches
from kdspeech.protocols import ScoredText, StudentFamily, TeacherCard, TeacherScores

_BATCH = 16  # utterances


class StudentTeacher:
    """Implements `kdspeech.protocols.Teacher`. The student masks padding, so batches are safe."""

    def __init__(self, folder: Path, teacher_id: str, students: StudentFamily) -> None:
        """Loads the student of a folder, onto a GPU where there is one.

        Raises:
            TeacherError, RunError: there is none, or it cannot be read.
        """
        saved = read_student(folder)
        self.vocabulary = saved.vocabulary
        checkpoint = student_sha256(folder, saved.vocabulary)
        self.card = TeacherCard(teacher_id, NEMO, str(folder), None, checkpoint, saved.vocabulary.sha256)
        try:
            self._student = load_saved(saved, students)
        except RuntimeError as error:
            raise TeacherError(
                f"{folder}: the weights do not fit the architecture ({error}). Train it again."
            ) from error
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._student.to(self._device)
        self.frame_shift_s: float = self._student.frame_shift_s

    def score(self, waveforms: Sequence[np.ndarray], token_ids: Sequence[Sequence[int]]) -> list[TeacherScores]:
        """Scores utterances; see `kdspeech.protocols.Teacher.score`."""
        if len(waveforms) != len(token_ids):
            raise ValueError(f"{len(waveforms)} waveforms and {len(token_ids)} transcripts")
        scores: dict[int, TeacherScores] = {}
        for batch in padded_batches(waveforms, _BATCH, device=self._device):
            scored = self._score_batch(batch, [token_ids[i] for i in batch.numbers])
            scores |= zip(batch.numbers, scored, strict=True)
        return [scores[i] for i in range(len(waveforms))]

    @torch.inference_mode()
    def _score_batch(self, batch: PaddedBatch, token_ids: Sequence[Sequence[int]]) -> list[TeacherScores]:
        end = self.vocabulary.end_id
        said = [torch.tensor([end, *tokens], dtype=torch.long) for tokens in token_ids]
        inputs = pad_sequence(said, batch_first=True, padding_value=end).to(self._device)  # [B, U]
        encoded = self._student.encode(batch.signal, batch.lengths)
        log_probs = self._student.ctc_log_probs(encoded)  # [B, T, V+1]
        by_ctc = greedy_ctc(log_probs, encoded.num_frames, self.vocabulary)
        by_decoder = greedy_decoder(self._student, encoded, encoded.num_frames)
        frames = log_probs.float().cpu().numpy()
        positions = self._student.decoder_log_probs(encoded, inputs).float().cpu().numpy()  # [B, U, V+1]
        scores = []
        for b, num_frames in enumerate(encoded.num_frames.tolist()):
            texts = [
                ScoredText(by_ctc[b].text, by_ctc[b].log_prob, "ctc"),
                ScoredText(by_decoder[b].text, by_decoder[b].log_prob, "decoder"),
            ]
            texts.sort(key=lambda text: -text.score)
            scores.append(TeacherScores(frames[b, :num_frames], positions[b, : len(said[b])], tuple(texts)))
        return scores
