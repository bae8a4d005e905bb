"""Rows of log-probabilities kept as their k largest columns and the log-mass of the rest.

Keeping the top k alone is a biased target: the student is told that everything else is impossible, and learns it
(Sparse Logit Sampling, arXiv 2503.16870). So the tail's mass is kept and, on reading, spread uniformly over the other
columns.

Shapes: R rows, C columns, k kept columns.
"""

from dataclasses import dataclass

import numpy as np

from kdspeech.logspace import LOG_ZERO


@dataclass(frozen=True)
class SparseRows:
    """Top k and tail."""

    values: np.ndarray  # float [R, k], log-probs of the kept columns, largest first
    indices: np.ndarray  # int16 or int32 [R, k], their columns
    tail: np.ndarray  # float [R], log of the summed probability of all other columns; LOG_ZERO for none


def to_sparse(log_probs: np.ndarray, top_k: int) -> SparseRows:
    """Keeps the `top_k` largest columns of each row.

    Args:
        log_probs: float32 [R, C], normalised rows.
        top_k: 1 <= top_k < C.
    """
    num_columns = log_probs.shape[1]
    kept = np.argpartition(-log_probs, top_k - 1, axis=1)[:, :top_k]  # [R, k]
    order = np.argsort(-np.take_along_axis(log_probs, kept, axis=1), axis=1, kind="stable")
    kept = np.take_along_axis(kept, order, axis=1)
    values = np.take_along_axis(log_probs, kept, axis=1)
    rest = np.exp(log_probs.astype(np.float64))
    np.put_along_axis(rest, kept, 0.0, axis=1)  # summed directly: 1 - sum(kept) would cancel
    mass = rest.sum(axis=1)  # [R]
    tail = np.log(mass, out=np.full(len(mass), LOG_ZERO), where=mass > 0)
    index_type = np.int16 if num_columns <= np.iinfo(np.int16).max else np.int32
    return SparseRows(values, kept.astype(index_type), np.maximum(tail, LOG_ZERO))


def to_dense(rows: SparseRows, num_columns: int) -> np.ndarray:
    """Spreads the tail uniformly over the columns that were not kept.

    Returns:
        float32 [R, C], normalised up to the rounding of what was stored.
    """
    num_rows, top_k = rows.values.shape
    share = rows.tail.astype(np.float32) - np.float32(np.log(num_columns - top_k))  # [R]
    dense = np.repeat(np.maximum(share, np.float32(LOG_ZERO))[:, None], num_columns, axis=1)  # [R, C]
    np.put_along_axis(dense, rows.indices.astype(np.int64), rows.values.astype(np.float32), axis=1)
    return dense.reshape(num_rows, num_columns)
