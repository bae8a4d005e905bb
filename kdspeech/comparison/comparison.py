"""What a comparison of two systems found, for people and for JSON."""

from collections.abc import Mapping
from dataclasses import dataclass

from kdspeech import console
from kdspeech.comparison.permutation import PValue
from kdspeech.scoring.bootstrap import LEVEL, Interval
from kdspeech.scoring.joining import listed

MIN_SPEAKERS = 6  # with fewer, flipping speakers cannot give p <= 0.05


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, in % or points."""

    value: float
    interval: Interval

    def to_dict(self) -> dict[str, float]:
        return {"value": round(self.value, 4), "low": round(self.interval.low, 4), "high": round(self.interval.high, 4)}

    def __str__(self) -> str:
        return f"{self.value:.1f} ({self.interval})"


@dataclass(frozen=True)
class Evidence:
    """The figures of a comparison; differences are B minus A, in points of WRA."""

    estimates: Mapping[str, Estimate]  # a_macro, b_macro, macro (the difference), a_micro, b_micro, micro
    p_speakers: PValue
    p_productions: PValue
    num_speakers: int

    @property
    def p_value(self) -> PValue:
        """Over speakers, which speaks for others too; over productions where there are too few speakers for that."""
        return self.p_speakers if self.num_speakers >= MIN_SPEAKERS else self.p_productions

    @property
    def significant(self) -> bool:
        """At 5 %."""
        return self.p_value.value <= (100.0 - LEVEL) / 100.0

    @property
    def verdict(self) -> str:
        """One line of English, about the macro mean."""
        points = self.estimates["macro"].value
        if self.num_speakers >= MIN_SPEAKERS:
            whose = "over speakers"
        else:
            speakers = "one speaker" if self.num_speakers == 1 else f"{self.num_speakers} speakers"
            whose = f"over productions of {speakers}: too few to say anything of others"
        if not self.significant:
            return f"No difference shown: B - A is {points:+.1f} points, {self.p_value} {whose}."
        return f"{'B' if points > 0 else 'A'} is better by {abs(points):.1f} points, {self.p_value} {whose}."


@dataclass(frozen=True)
class SpeakerPair:
    """Both systems on one speaker; counts are means over seeds where several were pooled."""

    speaker: str
    utterances: int
    productions: int
    a_right: float
    b_right: float

    @property
    def rates(self) -> tuple[float, float, float]:
        """WRA % of A and of B, and B - A."""
        a, b = (100.0 * right / self.utterances for right in (self.a_right, self.b_right))
        return a, b, b - a

    def to_dict(self) -> dict[str, object]:
        a, b, points = (round(rate, 4) for rate in self.rates)
        return {**vars(self), "a_wra": a, "b_wra": b, "points": points}


@dataclass(frozen=True)
class Answers:
    """Where one system's answers came from."""

    files: tuple[str, ...]
    seeds: tuple[int, int]  # the fewest and the most answers to one utterance
    missing: tuple[str, ...]  # utterances that only the other system answered: wrong

    @property
    def name(self) -> str:
        return self.files[0] if len(self.files) == 1 else f"{len(self.files)} files, {self.files[0]}, ..."

    def to_dict(self) -> dict[str, object]:
        return {"files": list(self.files), "answers_per_utterance": list(self.seeds), "missing": list(self.missing)}


@dataclass(frozen=True)
class Comparison:
    """B against A on the same utterances."""

    a: Answers
    b: Answers
    evidence: Evidence
    speakers: tuple[SpeakerPair, ...]
    unanswered: tuple[str, ...]  # references that neither system answered: left out
    normalisation: str

    def to_dict(self) -> dict[str, object]:
        """Everything, for JSON."""
        evidence = self.evidence
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "normalisation": self.normalisation,
            "interval_level": LEVEL,
            "wra": {name: estimate.to_dict() for name, estimate in evidence.estimates.items()},
            "p_speakers": vars(evidence.p_speakers),
            "p_productions": vars(evidence.p_productions),
            "verdict": evidence.verdict,
            "by_speaker": [pair.to_dict() for pair in self.speakers],
            "unanswered": list(self.unanswered),
        }

    def print(self) -> None:
        """Tables and the verdict on standard output."""
        evidence, found = self.evidence, self.evidence.estimates
        console.result(f"A: {self.a.name}\nB: {self.b.name}\nNormalisation: {self.normalisation}")
        console.table(
            f"WRA % ({LEVEL:.0f} % interval)",
            ("", "A", "B", "B - A"),
            [
                ("macro, over speakers", *(str(found[name]) for name in ("a_macro", "b_macro", "macro"))),
                ("micro, over utterances", *(str(found[name]) for name in ("a_micro", "b_micro", "micro"))),
            ],
        )
        rows = [
            (pair.speaker or "(not given)", str(pair.utterances), f"{a:.1f}", f"{b:.1f}", f"{points:+.1f}")
            for pair in self.speakers
            for a, b, points in (pair.rates,)
        ]
        console.table("By speaker", ("speaker", "utterances", "A %", "B %", "B - A"), rows)
        console.result(f"Over speakers: {evidence.p_speakers} ({evidence.p_speakers.method})")
        console.result(f"Over productions: {evidence.p_productions} ({evidence.p_productions.method})")
        console.result(evidence.verdict)
        self._warn()

    def _warn(self) -> None:
        for name, answers in (("A", self.a), ("B", self.b)):
            fewest, most = answers.seeds
            if most > 1:
                console.remark(f"{name}: the {fewest} to {most} answers to each utterance count by their mean.")
            if answers.missing:
                console.warn(f"{name} has no answer to {listed(answers.missing)}, which the other has: wrong.")
        if self.unanswered:
            console.warn(f"neither answers {listed(self.unanswered)}: left out.")
