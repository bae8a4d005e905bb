"""What an evaluation found: `results-<decode mode>.json` in the run folder, with every utterance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kdspeech import console
from kdspeech.errors import RunError
from kdspeech.files import read_json, write_json
from kdspeech.scoring.score import Scores, score_groups, score_texts

_NUM_ERRORS, _NUM_HITS = 7, 3  # sample hypotheses shown


@dataclass(frozen=True)
class EvaluationSettings:
    """What was decoded and how; results made under the same settings are not made again."""

    held_out: str
    mode: str  # training mode, and what the run was allowed to read: `decoder-kd-adapted`
    seed: int
    recipe: str
    decode_mode: str
    checkpoint: str  # best or last
    checkpoint_sha256: str
    vocabulary_sha256: str
    manifest_sha256: str
    lexicon_sha256: str | None  # of the words scored; None for other decode modes
    options: Mapping[str, Any] | None = None  # what differs from the mode's defaults; None before there were options


@dataclass(frozen=True)
class Alternative:
    """One entry of an n-best list."""

    text: str
    log_prob: float
    confidence: float  # calibrated, in [0, 1]


@dataclass(frozen=True)
class ConfidenceCheck:
    """How confidences were calibrated, and what they are worth on the held-out speaker."""

    calibration: Mapping[str, Any]  # method, its numbers, and on how many utterances it was fitted
    fitted_on: str  # whose utterances these were
    error_before: float  # expected calibration error over the held-out utterances, 0 to 1
    error_after: float


@dataclass(frozen=True)
class DecodedUtterance:
    """One utterance's reference and hypothesis, as they were before normalisation."""

    utt_id: str
    speaker: str
    word_type: str
    block: str
    reference: str
    hypothesis: str
    correct: bool
    log_prob: float
    confidence: float | None = None  # calibrated, in [0, 1]; None in files from before there was one
    n_best: tuple[Alternative, ...] = ()  # the hypothesis first; empty where not asked for
    production_id: str = ""  # recordings of one act of speaking share it; "" in files from before it was written
    microphone: str = ""
    band: str = ""  # intelligibility band of the speaker

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "DecodedUtterance":
        """Reads what `asdict` gave. Raises TypeError for another form."""
        n_best = tuple(Alternative(**other) for other in row.get("n_best", ()))
        return cls(**{**row, "n_best": n_best})


@dataclass(frozen=True)
class EvaluationResult:
    """Every utterance of one evaluation; the scores follow from them."""

    settings: EvaluationSettings
    utterances: tuple[DecodedUtterance, ...]
    confidence: ConfidenceCheck | None = None  # None in files from before there was one

    @cached_property
    def scores(self) -> Scores:
        """Over all utterances."""
        return score_texts(self._references, self._hypotheses)

    def scores_by(self, field: Literal["speaker", "word_type", "block"]) -> dict[str, Scores]:
        """For each value of an utterance's field."""
        return score_groups(self._references, self._hypotheses, {u.utt_id: getattr(u, field) for u in self.utterances})

    @property
    def _references(self) -> Mapping[str, str]:
        return {u.utt_id: u.reference for u in self.utterances}

    @property
    def _hypotheses(self) -> Mapping[str, str]:
        return {u.utt_id: u.hypothesis for u in self.utterances}

    def save(self, path: Path) -> None:
        """Writes settings, scores and utterances as JSON, atomically."""
        row = {
            "settings": asdict(self.settings),
            "scores": self.scores.to_dict(),
            "confidence": asdict(self.confidence) if self.confidence else None,
            "by_speaker": {name: scores.to_dict() for name, scores in self.scores_by("speaker").items()},
            "by_word_type": {name: scores.to_dict() for name, scores in self.scores_by("word_type").items() if name},
            "utterances": [asdict(u) for u in self.utterances],
        }
        write_json(path, row)

    @classmethod
    def load(cls, path: Path) -> "EvaluationResult":
        """Reads what `save` wrote.

        Raises:
            RunError: the file has another form.
        """
        row: dict[str, Any] = read_json(path)
        try:
            settings = EvaluationSettings(**row["settings"])
            check = row.get("confidence")
            utterances = tuple(DecodedUtterance.from_dict(utterance) for utterance in row["utterances"])
            return cls(settings, utterances, ConfidenceCheck(**check) if check else None)
        except (KeyError, TypeError) as error:
            raise RunError(
                f"{path} is not a results file of this version ({error}). Delete it or use --force."
            ) from error


def print_result(result: EvaluationResult) -> None:
    """The scores with their counts, some hypotheses, and a loud word if the model has collapsed."""
    settings, scores = result.settings, result.scores
    text, count = scores.most_frequent
    console.table(
        f"{settings.mode} student on {settings.held_out}, decoded by {settings.decode_mode}"
        f"{_options_text(settings)} ({settings.checkpoint} checkpoint)",
        ("measure", "value", "counts"),
        [
            ("WRA", f"{scores.wra:.1f} %", f"{scores.correct} of {scores.utterances} utterances"),
            (
                "WER",
                f"{scores.wer:.1f} %",
                f"{scores.substitutions} substitutions + {scores.deletions} deletions + {scores.insertions} insertions "
                f"in {scores.reference_words} words",
            ),
            ("empty", str(scores.empty), f"of {scores.utterances} hypotheses"),
            ("distinct", str(scores.distinct), f"most frequent: {text!r}, {count} times"),
            *_confidence_rows(result),
        ],
    )
    samples = _samples(result.utterances)
    if samples:
        rows = [("right" if u.correct else "wrong", u.reference, u.hypothesis, u.utt_id) for u in samples]
        console.table("Sample hypotheses", ("", "reference", "hypothesis", "utterance"), rows)
    warn_of_collapse(scores)


def _options_text(settings: EvaluationSettings) -> str:
    given = [f"{name.replace('_', ' ')} {str(value)[:12]}" for name, value in (settings.options or {}).items()]
    return f" with {', '.join(given)}" if given else ""


def _confidence_rows(result: EvaluationResult) -> list[tuple[str, str, str]]:
    """Mean confidence beside its calibration error; nothing where there is none."""
    values = [u.confidence for u in result.utterances if u.confidence is not None]
    check = result.confidence
    if not values or check is None:
        return []
    return [
        (
            "confidence",
            f"{100 * sum(values) / len(values):.1f} %",
            "mean; equals the WRA if it can be taken at its word",
        ),
        (
            "calibration error",
            f"{100 * check.error_after:.1f} %",
            f"{100 * check.error_before:.1f} % before {check.calibration['method']} scaling on {check.fitted_on}",
        ),
    ]


def warn_of_collapse(scores: Scores) -> None:
    """Warns if a model says nothing, or always the same."""
    if scores.utterances > 1 and scores.empty == scores.utterances:
        console.warn(
            f"all {scores.utterances} hypotheses are empty: the model emits nothing. Train longer, or look at the "
            "training log: a CTC model first learns the blank."
        )
    elif scores.utterances > 1 and scores.distinct == 1:
        console.warn(
            f"all {scores.utterances} hypotheses are {scores.most_frequent[0]!r}: the model ignores the audio. Train "
            "longer, or check the audio and the vocabulary."
        )


def _samples(utterances: Sequence[DecodedUtterance]) -> list[DecodedUtterance]:
    """The first errors and the first hits, each of another word: corpora are often sorted by word."""
    first: dict[tuple[bool, str], DecodedUtterance] = {}
    for utterance in utterances:
        first.setdefault((utterance.correct, utterance.reference), utterance)
    errors = [u for u in first.values() if not u.correct]
    hits = [u for u in first.values() if u.correct]
    return errors[:_NUM_ERRORS] + hits[:_NUM_HITS]
