"""Targets pooled from the teachers' rows, one utterance at a time.

Shapes: K teachers, T frames, U decoder positions (tokens + end of sentence), V vocabulary.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from kdspeech.choices import Kind
from kdspeech.config import TargetConfig
from kdspeech.errors import StoreError
from kdspeech.targets.pooling import WEIGHTINGS, confidence, frame_mask, map_frames, pool
from kdspeech.targets.target_set import Target
from kdspeech.targets.teacher_rows import TeacherRows


class PooledTargets(Mapping[str, Target]):
    """Targets that are pooled when they are looked up, so that they never lie in memory all at once."""

    def __init__(self, sources: TeacherRows, config: TargetConfig) -> None:
        self._sources, self._config = sources, config

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources.utterances)

    def __len__(self) -> int:
        return len(self._sources.utterances)

    def __getitem__(self, utt_id: str) -> Target:
        heard = [self._sources.hypotheses[teacher][utt_id] for teacher in self._sources.fold.teachers]
        weights = WEIGHTINGS[self._config.weights](heard)  # [K]
        ctc, mask = self._ctc(utt_id, weights)
        return Target(
            utt_id=utt_id,
            ctc_log_probs=ctc,
            frame_mask=mask,
            decoder_log_probs=self._decoder(utt_id, weights),
            confidence=confidence(heard),
            num_teachers=len(heard),
        )

    def _ctc(self, utt_id: str, weights: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Pooled frames [T, V+1] and their mask [T]; the mask is taken from the blank at temperature 1."""
        given = self._rows("ctc", utt_id)
        if not given:
            return None, None
        config, rows = self._config, on_one_grid(utt_id, given, self._sources.frame_shifts)
        plain = pool(rows, weights, config.pooling, temperature=1.0)
        mask = frame_mask(plain[:, -1], config.blank_threshold, config.dilation)
        tempered = plain if config.temperature == 1 else pool(rows, weights, config.pooling, config.temperature)
        return tempered, mask

    def _decoder(self, utt_id: str, weights: np.ndarray) -> np.ndarray | None:
        """Pooled positions [U, V+1]."""
        rows = self._rows("decoder", utt_id)
        if not rows:
            return None
        counts = {teacher: len(array) for teacher, array in rows.items()}
        if len(set(counts.values())) > 1:
            raise StoreError(
                f"utterance {utt_id!r}: the teachers have different numbers of decoder rows: "
                f"{', '.join(f'{teacher} {count}' for teacher, count in counts.items())}. They were fed with different "
                "references: run `kdspeech dump-teachers --force`."
            )
        return pool(list(rows.values()), weights, self._config.pooling, self._config.temperature)

    def _rows(self, kind: Kind, utt_id: str) -> dict[str, np.ndarray]:
        given = {teacher: rows[utt_id] for teacher, rows in self._sources.rows.get(kind, {}).items()}
        return {teacher: row for teacher, row in given.items() if isinstance(row, np.ndarray)}


def on_one_grid(utt_id: str, rows: Mapping[str, np.ndarray], frame_shifts: Mapping[str, float]) -> list[np.ndarray]:
    """All teachers' frames on the first teacher's grid.

    Args:
        rows: teacher -> [T_k, V+1].
        frame_shifts: teacher -> seconds.

    Returns:
        K times [T, V+1].

    Raises:
        StoreError: two teachers of one frame shift have different numbers of frames.
    """
    first = next(iter(rows))
    num_frames = len(rows[first])
    for teacher, array in rows.items():
        if frame_shifts[teacher] == frame_shifts[first] and len(array) != num_frames:
            raise StoreError(
                f"utterance {utt_id!r}: teacher {teacher} has {len(array)} frames, teacher {first} has {num_frames}, "
                f"both at {frame_shifts[first]:g} s a frame. One of them scored other audio or padded it: run "
                f"`kdspeech dump-teachers --speakers {first},{teacher} --force`."
            )
    return [map_frames(array, num_frames) for array in rows.values()]
