"""`score`: what any system wrote, against references: WRA, WER and CER with their counts, for whatever is known."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np

from kdspeech import console
from kdspeech.errors import KdspeechError
from kdspeech.files import write_json
from kdspeech.scoring.bootstrap import LEVEL, Interval, bootstrap_intervals, macro, micro
from kdspeech.scoring.formats.rows import DETAILS, Detail
from kdspeech.scoring.formats.transcripts import Transcripts, merge_transcripts, read_transcripts
from kdspeech.scoring.joining import Joined, join, listed
from kdspeech.scoring.normalise import RULE_NAMES, Normaliser
from kdspeech.scoring.score import Scores, score_pairs
from kdspeech.scoring.units import SpeakerUnits, group_units

# What scores are grouped by; single productions are too many for a table.
GROUPED: tuple[Detail, ...] = tuple(detail for detail in DETAILS if detail != "production_id")
_TITLES: Mapping[Detail, str] = {
    "speaker": "speaker",
    "band": "band of intelligibility",
    "word_type": "word type",
    "block": "block",
    "microphone": "microphone",
}
_NO_VALUE = "(not given)"
_STEP = 10_000  # utterances between two movements of the progress bar


@dataclass(frozen=True)
class ProductionScores:
    """Acts of speaking; those of several recordings are right at all microphones, at some or at none."""

    productions: int
    right_at_all: int
    right_at_any: int
    mean_wra: float  # %, each production counting the same

    def to_dict(self) -> dict[str, object]:
        return {**vars(self), "mean_wra": round(self.mean_wra, 4)}


@dataclass(frozen=True)
class ScoreReport:
    """Scores of one file of hypotheses."""

    reference: str  # path
    hypothesis: str  # path
    formats: Sequence[str]  # of the references and of the hypotheses
    normalisation: str  # the rules, in order
    homophones: tuple[tuple[str, ...], ...]
    total: Scores
    groups: Mapping[Detail, Mapping[str, Scores]]  # those that are known
    productions: ProductionScores | None  # None where none are known
    macro_wra: float | None  # %, mean over speakers; None where no speaker is known
    macro_interval: Interval | None  # None with fewer than two speakers
    micro_interval: Interval | None
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Everything, for JSON."""
        return {
            "reference": {"path": self.reference, "format": self.formats[0]},
            "hypothesis": {"path": self.hypothesis, "format": self.formats[1]},
            "normalisation": self.normalisation,
            "homophones": [list(group) for group in self.homophones],
            "missing": list(self.missing),
            "extra": list(self.extra),
            "macro_wra_over_speakers": None if self.macro_wra is None else round(self.macro_wra, 4),
            "interval_level": LEVEL,
            "macro_wra_interval": _ends(self.macro_interval),
            "wra_interval": _ends(self.micro_interval),
            "scores": self.total.to_dict(),
            "productions": None if self.productions is None else self.productions.to_dict(),
            **{
                f"by_{name}": {value: scores.to_dict() for value, scores in groups.items()}
                for name, groups in self.groups.items()
            },
        }

    def print(self) -> None:
        """Tables on standard output, and a loud word about what does not fit."""
        console.result(f"Normalisation: {self.normalisation}")
        console.table(f"{self.hypothesis} ({self.formats[1]})", ("measure", "value", "counts"), self._overall())
        for name, groups in self.groups.items():
            title = _TITLES[name]
            rows = [(value or _NO_VALUE, *_cells(scores)) for value, scores in groups.items()]
            columns = (title, "utterances", "WRA %", "WER %", "S", "D", "I", "words", "CER %")
            console.table(f"By {title}", columns, rows)
        if self.missing:
            console.warn(f"{listed(self.missing)} without hypothesis: counted as wrong, all their words deleted.")
        if self.extra:
            console.warn(f"{listed(self.extra)} without reference: not scored.")

    def _overall(self) -> list[tuple[str, str, str]]:
        total, productions = self.total, self.productions
        rows = []
        if self.macro_wra is not None:
            over = f"mean over {len(self.groups['speaker'])} speakers{_between(self.macro_interval)}"
            rows.append(("WRA, macro", f"{self.macro_wra:.1f} %", over))
        right = f"{total.correct} of {total.utterances} utterances{_between(self.micro_interval)}"
        edits = f"{total.substitutions} S + {total.deletions} D + {total.insertions} I in {total.reference_words} words"
        characters = f"{total.character_errors} errors in {total.reference_characters} characters"
        text, count = total.most_frequent
        rows += [
            ("WRA", f"{total.wra:.1f} %", right),
            ("WER", f"{total.wer:.1f} %", edits),
            ("CER", f"{total.cer:.1f} %", characters),
            ("empty", str(total.empty), f"of {total.utterances - len(self.missing)} hypotheses"),
            ("distinct", str(total.distinct), f"most frequent: {text!r}, {count} times"),
            ("missing", str(len(self.missing)), "references without hypothesis"),
            ("extra", str(len(self.extra)), "hypotheses without reference"),
        ]
        if productions is not None and productions.productions < total.utterances:
            counts = f"{productions.right_at_all} right in every recording, {productions.right_at_any} in some, "
            counts += f"of {productions.productions}"
            rows.append(("productions", f"{productions.mean_wra:.1f} %", counts))
        return rows


def score(
    reference: Path,
    hypotheses: Sequence[Path] = (),
    *,
    speakers: Sequence[str] | None = None,
    rules: tuple[str, ...] = RULE_NAMES,
    homophones: tuple[tuple[str, ...], ...] = (),
    reference_format: str | None = None,
    hypothesis_format: str | None = None,
    strict: bool = False,
    out: Path | None = None,
) -> ScoreReport:
    """Scores any system's output.

    Args:
        reference: file of references; a manifest of `kdspeech prepare` also tells speakers, bands, and so on.
        hypotheses: file of hypotheses, or files of several folds of one system; none if `reference` holds both, as
            results-*.json and wer_*.txt do.
        speakers: score these speakers' references only; None takes all.
        rules: names of normalisation rules, in order.
        homophones: groups of words that count as one.
        hypothesis_format: one of `formats.registry.FORMATS`; None finds it out. `reference_format` likewise.
        strict: refuses missing and extra ids instead of counting them.
        out: JSON file for all of it.

    Raises:
        ConfigError: an unknown rule, or homophones that do not fit.
        KdspeechError: a file is missing or malformed, ids stand twice, or nothing can be joined.
    """
    normaliser = Normaliser(rules, homophones)
    known = read_transcripts(reference, reference_format)
    said = _both_from(known) if not hypotheses else _read_all(hypotheses, hypothesis_format)
    asked = known if speakers is None else known.of_speakers(speakers)
    joined = join(asked, said, strict, whole=known)
    report = _report(joined, normaliser, (known.source, said.source), (known.format, said.format))
    if out is not None:
        write_json(out, report.to_dict())
    return report


def _read_all(paths: Sequence[Path], format_name: str | None) -> Transcripts:
    return merge_transcripts([read_transcripts(path, format_name) for path in paths])


def _both_from(known: Transcripts) -> Transcripts:
    if known.references is None:
        raise KdspeechError(
            f"{known.source} (read as {known.format}) holds one text for each utterance; name a second file, of the "
            "hypotheses."
        )
    return known


def _report(joined: Joined, normaliser: Normaliser, paths: Sequence[str], formats: Sequence[str]) -> ScoreReport:
    cells, right = _count_cells(joined, normaliser)
    groups: dict[Detail, dict[str, Scores]] = {}
    for place, name in enumerate(GROUPED):
        if name in joined.details:
            values = dict.fromkeys(cell[place] for cell in cells)
            groups[name] = {
                value: Scores.total(scores for cell, scores in cells.items() if cell[place] == value)
                for value in values
            }
    speakers = joined.details.get("speaker")
    units = group_units(speakers or [""] * len(right), joined.details.get("production_id"), right[:, None])
    macro_interval, micro_interval = bootstrap_intervals(units, [macro(1), micro(1)])
    return ScoreReport(
        reference=paths[0],
        hypothesis=paths[1],
        formats=formats,
        normalisation=normaliser.description,
        homophones=normaliser.homophones,
        total=Scores.total(cells.values()),
        groups=groups,
        productions=_productions(units) if "production_id" in joined.details else None,
        macro_wra=float(np.mean([scores.wra for scores in groups["speaker"].values()])) if speakers else None,
        macro_interval=macro_interval if len(units) > 1 else None,
        micro_interval=micro_interval,
        missing=joined.missing,
        extra=joined.extra,
    )


def _count_cells(joined: Joined, normaliser: Normaliser) -> tuple[dict[tuple[str, ...], Scores], np.ndarray]:
    """Scores of the utterances that agree in all details, and float64 [N]: 1 for each utterance that is right."""
    columns = [joined.details.get(name, repeat("")) for name in GROUPED]
    pairs: dict[tuple[str, ...], Counter[tuple[str, str | None]]] = {}
    right = np.zeros(len(joined.references))
    hypotheses = joined.hypotheses
    with console.progress("Scoring utterances", len(right)) as bar:
        rows = zip(joined.references.items(), *columns)  # noqa: B905  # some columns are endless
        for index, ((utt_id, text), *cell) in enumerate(rows):
            said = hypotheses.get(utt_id)
            pair = (normaliser(text), None if said is None else normaliser(said))
            key = tuple(cell)
            if key not in pairs:
                pairs[key] = Counter()
            pairs[key][pair] += 1
            right[index] = pair[0] == pair[1]
            if index % _STEP == _STEP - 1:
                bar.advance(_STEP)
    return {cell: score_pairs(counted) for cell, counted in pairs.items()}, right


def _productions(units: Sequence[SpeakerUnits]) -> ProductionScores:
    values = np.concatenate([speaker.values for speaker in units])
    times = np.concatenate([speaker.times for speaker in units])
    recordings, right = values[:, 0], values[:, 1]
    return ProductionScores(
        productions=int(times.sum()),
        right_at_all=int(times[right == recordings].sum()),
        right_at_any=int(times[right > 0].sum()),
        mean_wra=float(100.0 * (times * right / recordings).sum() / times.sum()),
    )


def _cells(scores: Scores) -> tuple[str, ...]:
    edits = (scores.substitutions, scores.deletions, scores.insertions, scores.reference_words)
    wra, wer, cer = (f"{rate:.1f}" for rate in (scores.wra, scores.wer, scores.cer))
    return (str(scores.utterances), wra, wer, *map(str, edits), cer)


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(interval.low, 4), round(interval.high, 4)]


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f"; {LEVEL:.0f} % interval {interval}"
