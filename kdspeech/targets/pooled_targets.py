"""Targets pooled from the teachers' rows, one utterance at a time.

Shapes: K teachers, S of them that speak on an utterance, T frames, U decoder positions (tokens + end of sentence), V
vocabulary.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from kdspeech.choices import Kind
from kdspeech.config import TargetConfig
from kdspeech.errors import ConfigError, StoreError
from kdspeech.logspace import LOG_ZERO, normalise
from kdspeech.targets.aligning import aligned
from kdspeech.targets.calibrating import Temperatures
from kdspeech.targets.pooling import WEIGHTINGS, confidence, frame_map, frame_mask, pool, temper
from kdspeech.targets.speaking import Turns, loudness, speaking
from kdspeech.targets.target_set import Target
from kdspeech.targets.teacher_rows import TeacherRows

_ROUNDED_UP = 1  # frames by which two toolkits differ on the same audio


@dataclass(frozen=True)
class Voices:
    """Who speaks on one utterance."""

    teachers: tuple[int, ...]  # S indices of the fold's teachers
    weights: np.ndarray  # float32 [S], sums to 1
    agreement: float  # share of them that heard the most frequent hypothesis

    def alone(self, place: int) -> "Voices":
        """One of them, as an index into `teachers`."""
        return replace(self, teachers=(self.teachers[place],), weights=np.ones(1, dtype=np.float32))


class PooledTargets(Mapping[str, Target]):
    """Targets that are pooled when they are looked up, so that they never lie in memory all at once."""

    def __init__(self, sources: TeacherRows, config: TargetConfig, temperatures: Temperatures | None = None) -> None:
        """`temperatures` of the teachers, where they were calibrated.

        Raises:
            ConfigError: on some speaker's recordings nobody would speak, or one alone would have to agree with itself.
        """
        self._sources, self._config = sources, config
        self._temperatures = temperatures or {}
        self._speaking = {s: speaking(sources.cards, s, config.who) for s in sources.speakers}
        alone = [s for s, teachers in self._speaking.items() if len(teachers) == 1]
        if config.min_agreement > 0 and alone:
            raise ConfigError(
                f"targets.min_agreement={config.min_agreement:g} needs several teachers: on the recordings of "
                f"{', '.join(alone)} one speaks alone. Train more teachers, or set targets.min_agreement=0."
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources.utterances)

    def __len__(self) -> int:
        return len(self._sources.utterances)

    def __getitem__(self, utt_id: str) -> Target:
        return self.spoken_by(utt_id, self.voices(utt_id))

    def voices(self, utt_id: str) -> Voices:
        """Who speaks on an utterance, and how loudly."""
        sources, config = self._sources, self._config
        speaker = sources.utterances[utt_id].speaker
        teachers = self._speaking[speaker]
        heard = [sources.hypotheses[sources.fold.teachers[index]][utt_id] for index in teachers]
        weights = WEIGHTINGS[config.weights](heard)  # [S]
        if config.own_share is not None:
            loud = weights * np.array(loudness([sources.cards[i] for i in teachers], speaker, config.own_share))
            weights = (loud / loud.sum()).astype(np.float32)
        return Voices(tuple(teachers), weights, confidence(heard))

    def spoken_by(self, utt_id: str, voices: Voices) -> Target:
        """The target that these teachers make together."""
        ctc, mask = self._ctc(utt_id, voices)
        counts = voices.agreement >= self._config.min_agreement
        return Target(
            utt_id=utt_id,
            ctc_log_probs=ctc,
            frame_mask=mask if counts or mask is None else np.zeros_like(mask),
            decoder_log_probs=self._decoder(utt_id, voices),
            confidence=voices.agreement,
            num_teachers=len(voices.teachers),
            counts=counts,
        )

    def _ctc(self, utt_id: str, voices: Voices) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Pooled frames [T, V+1] and their mask [T]; the mask is taken from the blank at temperature 1."""
        config, (first, *_) = self._config, self._sources.fold.teachers
        given = self._rows("ctc", utt_id, voices, first)
        if not given:
            return None, None
        grid = on_one_grid(utt_id, given, self._sources.frame_shifts)
        rows = grid if len(grid) == len(voices.teachers) else grid[1:]  # the first only lends its grid
        if config.align:
            rows = aligned(rows, self._sources.workspace.vocabulary.encode(self._sources.utterances[utt_id].text))
        plain = pool(rows, voices.weights, config.pooling, temperature=1.0)
        mask = frame_mask(plain[:, -1], config.blank_threshold, config.dilation)
        tempered = plain if config.temperature == 1 else pool(rows, voices.weights, config.pooling, config.temperature)
        return (without_blank(tempered) if config.blank == "delete" else tempered), mask

    def _decoder(self, utt_id: str, voices: Voices) -> np.ndarray | None:
        """Pooled positions [U, V+1]."""
        rows = self._rows("decoder", utt_id, voices)
        if not rows:
            return None
        counts = {teacher: len(array) for teacher, array in rows.items()}
        if len(set(counts.values())) > 1:
            raise StoreError(
                f"utterance {utt_id!r}: the teachers have different numbers of decoder rows: "
                f"{', '.join(f'{teacher} {count}' for teacher, count in counts.items())}. They were fed with different "
                "references: run `kdspeech dump-teachers --force`."
            )
        return pool(list(rows.values()), voices.weights, self._config.pooling, self._config.temperature)

    def words(self, utt_id: str) -> np.ndarray:
        """Word posteriors [W], pooled like the frames; a student is taught those of `WordTargets`."""
        voices = self.voices(utt_id)
        rows = [row[None] for row in self._rows("word", utt_id, voices).values()]  # [1, W] each
        return pool(rows, voices.weights, self._config.pooling, self._config.temperature)[0]

    def _rows(self, kind: Kind, utt_id: str, voices: Voices, *more: str) -> dict[str, np.ndarray]:
        """Teacher -> its row, calibrated if the teachers are; of those that speak, behind the teachers in `more`."""
        names = dict.fromkeys([*more, *(self._sources.fold.teachers[index] for index in voices.teachers)])
        given = self._sources.rows.get(kind, {})
        rows = {teacher: given[teacher][utt_id] for teacher in names if teacher in given}
        return {
            teacher: temper(row, self._temperatures.get(teacher, {}).get(kind, 1.0))
            for teacher, row in rows.items()
            if isinstance(row, np.ndarray)
        }


class SwitchedTargets(Mapping[str, Target]):
    """Of each utterance what one teacher alone says: whose turn it is changes with the epoch."""

    def __init__(self, pooled: PooledTargets, turns: Turns) -> None:
        self._pooled, self._turns = pooled, turns

    def __iter__(self) -> Iterator[str]:
        return iter(self._pooled)

    def __len__(self) -> int:
        return len(self._pooled)

    def __getitem__(self, utt_id: str) -> Target:
        voices = self._pooled.voices(utt_id)
        return self._pooled.spoken_by(utt_id, voices.alone(self._turns.of(utt_id, voices.weights)))


def without_blank(log_probs: np.ndarray) -> np.ndarray:
    """The blank, in the last column, cut out and the others normalised: frames that must say something.

    Args:
        log_probs: [T, V+1].

    Returns:
        [T, V+1]; the blank is log 0.
    """
    kept = normalise(log_probs[:, :-1])  # [T, V]
    return np.concatenate([kept, np.full_like(log_probs[:, -1:], LOG_ZERO)], axis=1)


def on_one_grid(utt_id: str, rows: Mapping[str, np.ndarray], frame_shifts: Mapping[str, float]) -> list[np.ndarray]:
    """All teachers' frames on the first teacher's grid.

    Args:
        rows: teacher -> [T_k, V+1].
        frame_shifts: teacher -> seconds.

    Returns:
        K times [T, V+1].

    Raises:
        StoreError: two teachers of one frame shift have different numbers of frames, not just rounded otherwise.
    """
    first = next(iter(rows))
    num_frames = len(rows[first])
    for teacher, array in rows.items():
        if frame_shifts[teacher] == frame_shifts[first] and abs(len(array) - num_frames) > _ROUNDED_UP:
            raise StoreError(
                f"utterance {utt_id!r}: teacher {teacher} has {len(array)} frames, teacher {first} has {num_frames}, "
                f"both at {frame_shifts[first]:g} s a frame. One of them scored other audio or padded it: run "
                f"`kdspeech dump-teachers --speakers {first},{teacher} --force`."
            )
    return [
        array[frame_map(array[:, -1], num_frames, frame_shifts[first] / frame_shifts[teacher])]
        for teacher, array in rows.items()
    ]
