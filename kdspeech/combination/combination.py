"""What combining several systems gave, for people and for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdspeech import console
from kdspeech.combination.vote import Combined
from kdspeech.scoring.score import Scores


@dataclass(frozen=True)
class CombinationRow:
    """One system, or several together, on every speaker; speaker "" where none is known."""

    name: str
    by_speaker: Mapping[str, Scores]

    @property
    def total(self) -> Scores:
        return Scores.total(self.by_speaker.values())

    @property
    def macro_wra(self) -> float:
        """%, mean over speakers."""
        return sum(scores.wra for scores in self.by_speaker.values()) / len(self.by_speaker)

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "macro_wra_over_speakers": round(self.macro_wra, 4),
            "scores": self.total.to_dict(),
            "by_speaker": {speaker: scores.to_dict() for speaker, scores in self.by_speaker.items() if speaker},
        }


def mean_of(name: str, rows: Sequence[CombinationRow]) -> CombinationRow:
    """All rows' counts together; each rate is the mean of theirs, since all were scored on the same utterances."""
    speakers = rows[0].by_speaker
    return CombinationRow(
        name, {speaker: Scores.total(row.by_speaker[speaker] for row in rows) for speaker in speakers}
    )


@dataclass(frozen=True)
class Combination:
    """Combined hypotheses, and scores where references are known."""

    combined: Mapping[str, Combined]  # utterance id -> what is written
    singles: tuple[CombinationRow, ...]  # empty without references
    together: tuple[CombinationRow, ...]  # mean single, best single (oracle), vote, ROVER, any system right (oracle)
    normalisation: str

    def to_dict(self) -> dict[str, object]:
        """The scores, for JSON."""
        return {
            "normalisation": self.normalisation,
            "singles": [row.to_dict() for row in self.singles],
            "together": [row.to_dict() for row in self.together],
        }

    def print(self) -> None:
        """The table of scores on standard output, if there are any."""
        if not self.singles:
            console.remark("No references, no scores: name them with --ref.")
            return
        console.result(f"Normalisation: {self.normalisation}")
        speakers = len(self.singles[0].by_speaker)
        columns = (
            "system",
            f"WRA %, macro ({speakers} {'speaker' if speakers == 1 else 'speakers'})",
            "WRA %",
            "right of utterances",
            "WER %",
        )
        rows = [
            (
                row.name,
                f"{row.macro_wra:.1f}",
                f"{row.total.wra:.1f}",
                f"{row.total.correct} of {row.total.utterances}",
                f"{row.total.wer:.1f}",
            )
            for row in (*self.singles, *self.together)
        ]
        console.table(f"{len(self.singles)} systems, alone and together", columns, rows)
