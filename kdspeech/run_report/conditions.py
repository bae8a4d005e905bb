"""WRA against what is known before the answer is checked: the length of an utterance, and the student's confidence."""

from collections.abc import Mapping, Sequence

import numpy as np

from kdspeech.decoding.calibration import expected_calibration_error
from kdspeech.evaluation.results import DecodedUtterance
from kdspeech.report.line_chart import Line, LineChart, Point, line_chart
from kdspeech.report.scale import Scale
from kdspeech.run_report.contenders import estimate
from kdspeech.scoring.units import group_units
from kdspeech.utterance import Utterance

Answered = Mapping[str, Sequence[DecodedUtterance]]  # system -> its answers, of all its runs
_LENGTH_BINS, _CONFIDENCE_BINS = 8, 10
_FEW = 5  # utterances in a bin: fewer say nothing


def wra_by_length(answered: Answered, spoken: Mapping[str, Utterance]) -> LineChart | None:
    """Bins of equal numbers of utterances, by duration; None where durations are not known."""
    durations = [u.duration for u in spoken.values()]
    if len(durations) < 2 * _FEW:
        return None
    edges = np.unique(np.quantile(durations, np.linspace(0, 1, _LENGTH_BINS + 1)))
    lines = []
    for system, answers in answered.items():
        known = [u for u in answers if u.utt_id in spoken]
        lengths = np.array([spoken[u.utt_id].duration for u in known])
        places = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, len(edges) - 2)
        lines.append(Line(system, _points(known, lengths, places)))
    if not any(line.points for line in lines):
        return None
    return line_chart("WRA by length of the recording", "seconds, mean of the bin", "WRA %", lines, percent=True)


def reliability(answered: Answered) -> LineChart | None:
    """How often answers of a confidence are right; None where no answer has one."""
    lines = []
    for system, answers in answered.items():
        known = [u for u in answers if u.confidence is not None]
        if not known:
            continue
        confidences = np.array([u.confidence or 0.0 for u in known])
        places = np.minimum((confidences * _CONFIDENCE_BINS).astype(int), _CONFIDENCE_BINS - 1)
        error = expected_calibration_error([u.confidence or 0.0 for u in known], [u.correct for u in known])
        name = f"{system}, calibration error {100 * error:.1f} %"
        lines.append(Line(name, _points(known, 100 * confidences, places)))
    if not any(line.points for line in lines):
        return None
    percent = Scale(0.0, 100.0)
    caption = "Reliability: are answers as often right as the student believes?"
    return LineChart(caption, "confidence %, mean of the bin", "WRA %", lines, percent, percent, diagonal=True)


def _points(answers: Sequence[DecodedUtterance], values: np.ndarray, places: np.ndarray) -> list[Point]:
    """A point for each bin that holds enough utterances.

    Args:
        values: [N] of each answer; a bin stands at their mean.
        places: int64 [N], each answer's bin.
    """
    points = []
    for place in range(int(places.max(initial=-1)) + 1):
        inside = np.flatnonzero(places == place)
        if len(inside) < _FEW:
            continue
        right = np.array([[float(answers[int(i)].correct)] for i in inside])
        found = estimate(group_units([""] * len(inside), None, right))
        mean = float(values[inside].mean())
        points.append(Point(mean, found.value, found.interval.low, found.interval.high, f"{len(inside)} utterances"))
    return points
