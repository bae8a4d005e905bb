"""Several teachers' distributions become one: pure functions on the rows of a single utterance.

Shapes: K teachers, T frames or decoder positions, C columns of a row (V+1; the last is the blank or the end of
sentence). All weights sum to 1 over the teachers.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kdspeech.logspace import clamp_log_zero, normalise


def temper(log_probs: Tensor, temperature: float) -> Tensor:
    """softmax(log p / t), as log-probs. It equals softmax(logits / t): log p and the logits differ by a row constant.

    Args:
        log_probs: [..., C].
        temperature: t > 0; above 1 flattens.
    """
    return log_probs if temperature == 1.0 else normalise(log_probs / temperature)


def prob_mean(log_probs: Tensor, weights: Tensor) -> Tensor:
    """log sum_k w_k p_k: a mixture, which keeps every alternative that some teacher believes in.

    Args:
        log_probs: [K, T, C].
        weights: [K].

    Returns:
        [T, C], normalised.
    """
    log_weights = clamp_log_zero(weights.log())[:, None, None]
    return normalise(torch.logsumexp(log_probs + log_weights, dim=0))


def logprob_mean(log_probs: Tensor, weights: Tensor) -> Tensor:
    """softmax(sum_k w_k log p_k): the normalised geometric mean, which keeps what all teachers allow.

    Args:
        log_probs: [K, T, C]; unnormalised logits give the same result.
        weights: [K].

    Returns:
        [T, C], normalised.
    """
    return normalise(torch.einsum("k,ktc->tc", weights, log_probs))


POOLINGS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "prob_mean": prob_mean,
    "logprob_mean": logprob_mean,
    # The softmax of the mean logits. Logits are log p plus a constant per teacher and row; the constants' mean moves a
    # whole row and softmax does not see it, so from log-probs this is logprob_mean, exactly.
    "logit_mean": logprob_mean,
}


def pool(log_probs: Sequence[Tensor], weights: Tensor, pooling: str, temperature: float) -> Tensor:
    """Tempers each teacher's rows and pools them.

    Args:
        log_probs: K times [T, C].
        weights: [K].
        pooling: a name in POOLINGS.

    Returns:
        [T, C], normalised.
    """
    stacked = torch.stack([temper(rows, temperature) for rows in log_probs])  # [K, T, C]
    return POOLINGS[pooling](stacked, weights.to(stacked.dtype))


def uniform_weights(hypotheses: Sequence[str]) -> Tensor:
    """float32 [K]: every teacher counts the same."""
    return torch.full((len(hypotheses),), 1.0 / len(hypotheses))


def agreement_weights(hypotheses: Sequence[str]) -> Tensor:
    """float32 [K]: a teacher counts in proportion to the teachers, itself included, that heard the same."""
    counts = Counter(hypotheses)
    supporters = torch.tensor([float(counts[text]) for text in hypotheses])
    return supporters / supporters.sum()


WEIGHTINGS: Mapping[str, Callable[[Sequence[str]], Tensor]] = {
    "uniform": uniform_weights,
    "agreement": agreement_weights,
}


def confidence(hypotheses: Sequence[str]) -> float:
    """Share of the teachers that heard the most frequent hypothesis, in (0, 1]."""
    return Counter(hypotheses).most_common(1)[0][1] / len(hypotheses)


def frame_mask(blank_log_probs: Tensor, threshold: float, dilation: int) -> Tensor:
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
    spikes = blank_log_probs.exp() < threshold  # [T]
    if dilation == 0 or len(spikes) == 0:
        return spikes
    window = 2 * dilation + 1
    return torch.nn.functional.max_pool1d(spikes[None].float(), window, stride=1, padding=dilation)[0] > 0


def map_frames(rows: np.ndarray, num_frames: int) -> np.ndarray:
    """Puts rows on another frame grid over the same recording: each new frame takes the row nearest in time.

    The one map between frame rates of teachers and student. Frame i of n covers (i/n, (i+1)/n) of the recording; the
    row whose span holds the new frame's centre is the nearest.

    Args:
        rows: [T, ...].
        num_frames: T' > 0.

    Returns:
        [T', ...]; equal to `rows` where T' = T.
    """
    centres = (2 * np.arange(num_frames) + 1) * len(rows) // (2 * num_frames)  # integers: no rounding at borders
    return rows[centres]
