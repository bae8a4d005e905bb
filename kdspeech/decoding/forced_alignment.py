"""When a CTC model says each token of a known text, and how often two models disagree on that.

Shapes: T frames, U tokens, S = 2U+1 states (a blank before, between and after the tokens), V vocabulary.
"""

from collections.abc import Sequence

import numpy as np

from kdspeech.errors import KdspeechError

_ROUNDING = 1e-6  # frames


def forced_alignment(log_probs: np.ndarray, token_ids: Sequence[int]) -> list[tuple[int, int]] | None:
    """The likeliest path that says exactly these tokens (Viterbi, over the states of Graves et al. 2006, section 4.1).

    Args:
        log_probs: [T, V+1], blank last.
        token_ids: U ids below V.

    Returns:
        For each token its first frame and the frame after its last; None where the text needs more frames than T.
    """
    labels = np.full(2 * len(token_ids) + 1, log_probs.shape[1] - 1)  # [S]
    labels[1::2] = token_ids
    states = np.arange(len(labels))
    may_skip = (states % 2 == 1) & (states > 1)  # the blank before a token, unless the token before is the same
    may_skip[2:] &= labels[2:] != labels[:-2]
    scores = np.full(len(labels), -np.inf)  # [S], of the best path that ends in each state
    scores[:2] = log_probs[0, labels[:2]]
    steps = np.zeros((len(log_probs), len(labels)), dtype=np.int64)  # [T, S], states advanced on entering this frame
    for frame in range(1, len(log_probs)):
        ways = np.stack([scores, _shifted(scores, 1), np.where(may_skip, _shifted(scores, 2), -np.inf)])  # [3, S]
        steps[frame] = ways.argmax(axis=0)
        scores = ways.max(axis=0) + log_probs[frame, labels]
    state = len(labels) - 1
    if len(labels) > 1 and scores[-2] > scores[-1]:
        state -= 1
    if not np.isfinite(scores[state]):
        return None
    path = np.empty(len(log_probs), dtype=np.int64)  # [T]
    for frame in range(len(log_probs) - 1, -1, -1):
        path[frame] = state
        state -= steps[frame, state]
    inside = [np.flatnonzero(path == 2 * token + 1) for token in range(len(token_ids))]
    return [(int(frames[0]), int(frames[-1]) + 1) for frames in inside]


def spike_frames(log_probs: np.ndarray, token_ids: Sequence[int]) -> np.ndarray | None:
    """On which frame each token of the text is said most surely: the best of its frames on the forced alignment.

    Args:
        log_probs: [T, V+1], blank last.

    Returns:
        int64 [U], rising; None where the text needs more frames than there are.
    """
    spans = forced_alignment(log_probs, token_ids)
    if spans is None:
        return None
    best = [a + int(log_probs[a:b, token].argmax()) for token, (a, b) in zip(token_ids, spans, strict=True)]
    return np.array(best, dtype=np.int64)


def spike_times_s(log_probs: np.ndarray, token_ids: Sequence[int], frame_shift_s: float) -> np.ndarray | None:
    """When each token of the text is said most surely: the middle of its frame of `spike_frames`.

    Args:
        log_probs: [T, V+1], blank last.

    Returns:
        Seconds, [U]; None where the text needs more frames than there are.
    """
    frames = spike_frames(log_probs, token_ids)
    return None if frames is None else (frames + 0.5) * frame_shift_s


def share_of_displaced_spikes(
    times_s: np.ndarray, reference_s: np.ndarray, frame_shift_s: float, tolerance: int = 0
) -> float:
    """The share of tokens whose spike lies on another frame than the reference's.

    Both are laid onto one grid of frames as a distance in time, so that models of different frame rates compare: more
    than `tolerance` and a half frames off counts as displaced.

    Args:
        times_s: [U] of `spike_times_s`.
        reference_s: [U], of the same tokens.
        frame_shift_s: of the grid, the student's.
        tolerance: frames off that are forgiven.

    Raises:
        KdspeechError: the two are not of the same tokens, or there is none.
    """
    if times_s.shape != reference_s.shape or not times_s.size:
        raise KdspeechError(f"cannot compare the spikes of {times_s.size} tokens with those of {reference_s.size}.")
    frames_off = np.abs(times_s - reference_s) / frame_shift_s
    return float((frames_off > tolerance + 0.5 + _ROUNDING).mean())


def _shifted(scores: np.ndarray, by: int) -> np.ndarray:
    """[S] with each value moved `by` states on."""
    moved = np.full_like(scores, -np.inf)
    moved[by:] = scores[: len(scores) - by]
    return moved
