"""Confidence that means something: of the answers given with 80 %, about 80 % should be right.

A decoder's own confidence is corrected by one or two numbers, fitted on the training speakers' held-back productions.
These are easier than a voice that was never heard: a student with smoothed labels is right more often there than it
believes, so that the fit would raise its confidence, and a new speaker's would be worse than without. Therefore a
correction is only ever used to lower one. It is still too high, as a rule: see the error that `kdspeech eval` prints.

Shapes: N utterances, W lexicon words.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from kdspeech.hypothesis import Hypothesis
from kdspeech.logspace import LOG_ZERO, log_sum_exp

_MAX_LOGIT = 15.0  # what is nearer to 0 or 1 is rounding
_STEPS = 50
_TOLERANCE = 1e-9
_RIDGE = 1e-3  # towards slope 1, so that a fit exists where right and wrong are far apart
_TEMPERATURES = np.geomspace(0.05, 100.0, 400)
_NUM_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """sigmoid(slope * logit(confidence) + intercept) for texts, softmax(scores / temperature) for words of a list.

    The numbers are as fitted; `apply` and `softening` use them, and never make a decoder surer than it is.
    """

    method: Literal["platt", "temperature"]
    num_utterances: int  # that it was fitted on
    num_correct: int  # of them
    slope: float = 1.0
    intercept: float = 0.0
    temperature: float = 1.0

    @property
    def softening(self) -> float:
        """The temperature to divide scores by, at least 1."""
        return max(1.0, self.temperature)

    def apply(self, hypothesis: Hypothesis) -> Hypothesis:
        """The hypothesis with calibrated confidences, its n-best list's too, none of them raised; for `platt`."""
        logit = self.slope * float(_logit(np.array(hypothesis.confidence))) + self.intercept
        return replace(
            hypothesis,
            confidence=min(hypothesis.confidence, float(1 / (1 + np.exp(-logit)))),
            n_best=tuple(self.apply(other) for other in hypothesis.n_best),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def fit_platt(confidences: Sequence[float], correct: Sequence[bool]) -> Calibration:
    """Logistic regression of right and wrong on logit(confidence), by Newton's method with halved steps.

    Platt 1999 ("Probabilistic outputs for support vector machines"), with its smoothed labels (N+ + 1) / (N+ + 2) and
    1 / (N- + 2), which keep the fit finite where everything is right.
    """
    inputs = np.stack([_logit(np.asarray(confidences, dtype=np.float64)), np.ones(len(confidences))])  # [2, N]
    right = np.asarray(correct, dtype=bool)
    num_right = int(right.sum())
    labels = np.where(right, (num_right + 1) / (num_right + 2), 1 / (len(right) - num_right + 2))
    weights, prior = np.array([1.0, 0.0]), np.array([1.0, 0.0])

    def loss(weights: np.ndarray) -> float:
        logits = weights @ inputs
        fit = np.logaddexp(0.0, logits) - labels * logits
        return float(fit.sum() + _RIDGE / 2 * np.square(weights - prior).sum())

    for _ in range(_STEPS):
        probabilities = 1 / (1 + np.exp(-np.clip(weights @ inputs, -2 * _MAX_LOGIT, 2 * _MAX_LOGIT)))
        gradient = inputs @ (probabilities - labels) + _RIDGE * (weights - prior)
        curvature = (inputs * probabilities * (1 - probabilities)) @ inputs.T + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > _TOLERANCE:
            step = step / 2  # whole steps may overshoot for ever
        weights = weights - step
    return Calibration("platt", len(right), num_right, slope=float(weights[0]), intercept=float(weights[1]))


def fit_temperature(scores: Sequence[np.ndarray], references: Sequence[int | None], spread: float = 0.0) -> Calibration:
    """The temperature under which the right words are likeliest, of a fixed grid from 0.05 to 100.

    Guo et al. 2017 ("On calibration of modern neural networks", 1706.04599), section 4.2.

    Args:
        scores: [W] for each utterance.
        references: the right word's index; utterances with None, whose word is not in the list, are left out.
        spread: share of each reference that goes to all possible words evenly, in [0, 1). Above 0 the fit stays finite
            where everything is right; 1 / (N + 2) is the share of Platt 1999.
    """
    known = [(row, reference) for row, reference in zip(scores, references, strict=True) if reference is not None]
    if not known:
        return Calibration("temperature", 0, 0)
    rows = np.stack([row for row, _ in known]).astype(np.float64)  # [N, W]
    columns = np.array([reference for _, reference in known])
    rows = rows - rows.max(axis=1, keepdims=True)
    num_correct = int((rows.argmax(axis=1) == columns).sum())
    right = rows[np.arange(len(rows)), columns]
    total = (1 - spread) * right.sum() + spread * _mean_possible(rows) if spread else right.sum()
    losses = [float(log_sum_exp(rows / t, axis=1).sum() - total / t) for t in _TEMPERATURES]
    temperature = float(_TEMPERATURES[int(np.argmin(losses))])
    return Calibration("temperature", len(known), num_correct, temperature=temperature)


def _mean_possible(rows: np.ndarray) -> float:
    """The sum over rows [N, W], each with 0 as its highest, of the mean of those words that are possible at all."""
    possible = rows > LOG_ZERO / 2  # normalising moves LOG_ZERO a little
    return float((np.where(possible, rows, 0.0).sum(axis=1) / possible.sum(axis=1)).sum())


def expected_calibration_error(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """The gap between confidence and accuracy, averaged over ten equal bins of confidence; in [0, 1].

    Guo et al. 2017, eq. 3.
    """
    values, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    bins = np.minimum((values * _NUM_BINS).astype(int), _NUM_BINS - 1)
    gaps = [abs(float((values - right)[bins == index].sum())) for index in range(_NUM_BINS)]
    return sum(gaps) / len(values) if len(values) else 0.0


def _logit(probabilities: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        logits: np.ndarray = np.log(probabilities) - np.log1p(-probabilities)
    return np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT)
