"""Teachers that say the same at different times, laid upon each other before their frames are pooled.

Shapes: K teachers, T frames, U tokens, V vocabulary.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from kdspeech.decoding.forced_alignment import spike_frames


def aligned(log_probs: Sequence[np.ndarray], token_ids: Sequence[int]) -> list[np.ndarray]:
    """Every teacher's frames, stretched so that each token's spike stands where the median teacher has it.

    CTC models that were trained apart spike at different frames, and where two of them are averaged neither's token is
    left (Kurata & Audhkhasi 2019, arXiv 1904.08311, who train the teachers towards one model's spikes; here their rows
    are moved instead, so that teachers can be anybody's). Spikes are those of a forced alignment of the transcript;
    between two of them rows are repeated or left out, never mixed.

    Args:
        log_probs: K times [T, V+1], blank last.
        token_ids: U ids below V, of the transcript.

    Returns:
        K times [T, V+1]; as they were where the transcript needs more frames than T.
    """
    spikes = [spike_frames(rows, token_ids) for rows in log_probs]  # [U] each
    found = [frames for frames in spikes if frames is not None]
    if len(found) < len(spikes) or not len(token_ids):
        return list(log_probs)
    # Each teacher's tokens are at least a frame apart, so their medians are, too, and stay so when rounded.
    guide = np.floor(np.median(found, axis=0) + 0.5).astype(np.int64)  # [U]
    return [rows[moved_rows(frames, guide, len(rows))] for rows, frames in zip(log_probs, found, strict=True)]


def moved_rows(spikes: np.ndarray, guide: np.ndarray, num_frames: int) -> np.ndarray:
    """Which row each frame takes, so that the row of every spike comes to stand on its guide, and there alone.

    Frames between two guides share the rows between their two spikes; where there is none, the earlier spike (before
    the first one, that one) goes on: a token said twice in a row is one token to CTC.

    Args:
        spikes: int64 [U], rising.
        guide: int64 [U], rising.

    Returns:
        int64 [T], never falling.
    """
    taken = np.empty(num_frames, dtype=np.int64)
    taken[guide] = spikes
    edges, marks = [-1, *spikes.tolist(), num_frames], [-1, *guide.tolist(), num_frames]
    for (row, next_row), (mark, next_mark) in zip(itertools.pairwise(edges), itertools.pairwise(marks), strict=True):
        rows, frames = next_row - row - 1, next_mark - mark - 1
        inside = np.floor((np.arange(frames) + 0.5) * rows / max(frames, 1)).astype(np.int64)
        taken[mark + 1 : next_mark] = row + 1 + inside if rows else max(row, spikes[0])
    return taken
