"""Several teachers' distributions become one: pure functions on the rows of a single utterance.

Shapes: K teachers, T frames or decoder positions, C columns of a row (V+1; the last is the blank or the end of
sentence). Weights sum to 1 over the teachers; none is below 0, and a teacher of weight 0 has no say.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kdspeech.logspace import log_sum_exp, normalise

# Of `frame_map`, so that no table mixes two: 1 took a recording for as long as its rows, whatever their shift, and
# laid SpeechBrain's rows a frame early from the middle of every other recording on. Still 2: rows under frames that are
# not coarse are laid as they were, and no recipe has coarse ones.
FRAME_MAP_VERSION = 2
_COARSE = 1.5  # rows a frame; a recording of equal rates that is played faster stays below
_ROUNDING = 1e-9  # of a row: a frame halfway between two rows takes the later one on every machine


def temper(log_probs: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / t), as log-probs. It equals softmax(logits / t): log p and the logits differ by a row constant.

    Args:
        log_probs: [..., C].
        temperature: t > 0; above 1 flattens.
    """
    return log_probs if temperature == 1.0 else normalise(log_probs / temperature)


def prob_mean(log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """log sum_k w_k p_k: a mixture, which keeps every alternative that some teacher believes in.

    Args:
        log_probs: [K, T, C].
        weights: [K].

    Returns:
        [T, C], normalised.
    """
    log_weights = np.log(weights, out=np.full_like(weights, -np.inf), where=weights > 0)  # [K]
    return normalise(log_sum_exp(log_probs + log_weights[:, None, None], axis=0)[0])


def logprob_mean(log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """softmax(sum_k w_k log p_k): the normalised geometric mean, which keeps what all teachers allow.

    Args:
        log_probs: [K, T, C]; unnormalised logits give the same result.
        weights: [K].

    Returns:
        [T, C], normalised.
    """
    return normalise(np.einsum("k,ktc->tc", weights, log_probs))


POOLINGS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "prob_mean": prob_mean,
    "logprob_mean": logprob_mean,
    # The softmax of the mean logits. Logits are log p plus a constant per teacher and row; the constants' mean moves a
    # whole row and softmax does not see it, so from log-probs this is logprob_mean, exactly.
    "logit_mean": logprob_mean,
}


def pool(log_probs: Sequence[np.ndarray], weights: np.ndarray, pooling: str, temperature: float) -> np.ndarray:
    """Tempers each teacher's rows and pools them.

    Args:
        log_probs: K times [T, C].
        weights: [K].
        pooling: a name in POOLINGS.

    Returns:
        [T, C], normalised.
    """
    stacked = np.stack([temper(rows, temperature) for rows in log_probs])  # [K, T, C]
    return POOLINGS[pooling](stacked, weights)


def uniform_weights(hypotheses: Sequence[str]) -> np.ndarray:
    """float32 [K]: every teacher counts the same."""
    return np.full(len(hypotheses), 1.0 / len(hypotheses), dtype=np.float32)


def agreement_weights(hypotheses: Sequence[str]) -> np.ndarray:
    """float32 [K]: a teacher counts in proportion to the teachers, itself included, that heard the same.

    Teachers that hear nothing do not confirm each other: an empty hypothesis has no weight, unless all are empty.
    """
    counts = Counter(filter(None, hypotheses))
    supporters = np.array([counts[text] for text in hypotheses], dtype=np.float32)
    return supporters / supporters.sum() if counts else uniform_weights(hypotheses)


WEIGHTINGS: Mapping[str, Callable[[Sequence[str]], np.ndarray]] = {
    "uniform": uniform_weights,
    "agreement": agreement_weights,
}


def confidence(hypotheses: Sequence[str]) -> float:
    """Share of the teachers that heard the most frequent hypothesis, in [0, 1]; 0 where none heard anything."""
    return max(Counter(filter(None, hypotheses)).values(), default=0) / len(hypotheses)


def frame_mask(blank_log_probs: np.ndarray, threshold: float, dilation: int) -> np.ndarray:
    """The frames on which a student should learn from the teachers.

    A frame counts while the blank's probability is below `threshold`, and so do `dilation` frames on each side (Hilmes
    et al. 2025, arXiv 2506.01503, keep n frames around every spike). The blank itself stays a class: it is never cut
    out of the distribution.

    Args:
        blank_log_probs: [T], of the pooled rows at temperature 1.
        threshold: in (0, 1]; 1 keeps every frame whose blank is not certain.
        dilation: n >= 0.

    Returns:
        bool [T].
    """
    spikes = np.exp(blank_log_probs) < threshold  # [T]
    window = np.ones(2 * dilation + 1, dtype=np.int64)
    return np.convolve(spikes, window)[dilation : dilation + len(spikes)] > 0


def frame_map(blank_log_probs: np.ndarray, num_frames: int, rows_per_frame: float) -> np.ndarray:
    """Another frame grid over the same recording: for each new frame the row that stands for it.

    The one map between frame rates of teachers and student. Frame i of a model is centred i frame shifts after the
    recording's start, as with every centred convolution; numbers of frames say nothing about time, since toolkits round
    them up or down: SpeechBrain's models have a row more than NeMo's on every other recording.

    A new frame takes the row nearest in time. Where it spans about two rows or more, it takes the row with the least
    blank of all that it spans: CTC spikes are one row wide, and every other one would stand on a row that is passed
    over. Two spikes in one frame cannot both be kept.

    Args:
        blank_log_probs: [T], of the rows.
        num_frames: T' > 0.
        rows_per_frame: time between two new frames over that between two rows, above 0; the new frames' recording may
            be played faster than the rows', and passes more of them then.

    Returns:
        int64 [T'], indices of rows; the last row stands for what lies behind it.
    """
    centres = np.arange(num_frames) * rows_per_frame  # [T'], in rows
    last_row = len(blank_log_probs) - 1
    nearest = np.minimum(np.floor(centres + 0.5 + _ROUNDING).astype(np.int64), last_row)
    if rows_per_frame < _COARSE:
        return nearest
    first = np.ceil(centres - rows_per_frame / 2 - _ROUNDING)
    spanned = first[:, None] + np.arange(np.ceil(rows_per_frame))  # [T', S]
    inside = (spanned >= 0) & (spanned <= last_row) & (spanned < centres[:, None] + rows_per_frame / 2 - _ROUNDING)
    rows = spanned.clip(0, last_row).astype(np.int64)
    blanks = np.where(inside, blank_log_probs[rows], np.inf)
    spikes = rows[np.arange(num_frames), blanks.argmin(axis=1)]  # [T']
    return np.where(blanks.min(axis=1) < blank_log_probs[nearest], spikes, nearest)
