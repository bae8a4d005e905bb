"""How rows of log-probabilities lie in a file: log 0 as LOG_ZERO, in float16, all columns or the top k and the tail.

Rounding breaks the sum of 1, so unpacking normalises every row again. Shapes: R rows, C columns.
"""

import numpy as np

from kdspeech.dumps.ragged import RaggedFile
from kdspeech.dumps.sparse import SparseRows, to_dense, to_sparse
from kdspeech.logspace import LOG_ZERO, normalise


def pack_rows(log_probs: np.ndarray, top_k: int | None, dtype: str, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays that stand for one item in a ragged file.

    Args:
        log_probs: [R, C], normalised rows.
        top_k: columns kept, with the tail's mass; None, or C and more, keeps all.
        dtype: float16 or float32.
        prefix: of the arrays' names.

    Returns:
        `values`, and for sparse rows `indices` and `tail`.
    """
    rows = np.maximum(log_probs.astype(np.float32), LOG_ZERO)
    if top_k is None or top_k >= rows.shape[1]:
        return {prefix + "values": rows.astype(dtype)}
    sparse = to_sparse(rows, top_k)
    return {
        prefix + "values": sparse.values.astype(dtype),
        prefix + "indices": sparse.indices,
        prefix + "tail": sparse.tail.astype(dtype),
    }


def unpack_rows(file: RaggedFile, index: int, num_columns: int, prefix: str = "") -> np.ndarray:
    """Item `index` as it was packed, up to rounding and the tail's uniform spread.

    Returns:
        float32 [R, C], normalised.
    """
    rows = file.item(prefix + "values", index).astype(np.float32)
    if file.has(prefix + "indices"):
        indices, tail = file.item(prefix + "indices", index), file.item(prefix + "tail", index)
        rows = to_dense(SparseRows(rows, indices, tail), num_columns)
    return normalise(rows)
