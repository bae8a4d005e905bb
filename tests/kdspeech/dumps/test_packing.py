"""Rows as they lie in files: rounding, log 0, top k and tail."""

from pathlib import Path

import numpy as np
import pytest

from kdspeech.dumps.packing import pack_rows, unpack_rows
from kdspeech.dumps.ragged import RaggedFile, write_ragged
from kdspeech.dumps.sparse import to_dense, to_sparse
from kdspeech.logspace import LOG_ZERO, log_sum_exp, normalisation_error, normalise


def round_trip(path: Path, items: list[np.ndarray], top_k: int | None, dtype: str) -> list[np.ndarray]:
    packed = [pack_rows(item, top_k, dtype) for item in items]
    write_ragged(path, {}, {name: [arrays[name] for arrays in packed] for name in packed[0]})
    file = RaggedFile(path)
    return [unpack_rows(file, index, items[0].shape[1]) for index in range(len(items))]


def random_items(num_columns: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [normalise(rng.normal(scale=4, size=(rows, num_columns)).astype(np.float32)) for rows in (3, 0, 7)]


def test_log_zero_survives_float16() -> None:
    assert float(np.float16(LOG_ZERO)) == LOG_ZERO
    assert np.exp(np.float32(LOG_ZERO)) == 0.0


def test_normalise_and_log_sum_exp() -> None:
    assert np.exp(normalise(np.log(np.array([[1.0, 3.0]])))) == pytest.approx(np.array([[0.25, 0.75]]))
    assert normalise(np.array([[0.0, LOG_ZERO * 3]])).tolist() == [[0.0, LOG_ZERO]]
    assert float(log_sum_exp(np.array([1000.0, 1000.0]), axis=0)[0]) == pytest.approx(1000 + np.log(2))
    assert normalisation_error(np.log(np.array([[0.5, 0.5], [0.5, 0.6]]))) == pytest.approx(0.1)
    assert normalisation_error(np.zeros((0, 4))) == 0.0


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 2e-2)])
def test_dense_rows_come_back(tmp_path: Path, dtype: str, tolerance: float) -> None:
    items = random_items(11)
    for item, back in zip(items, round_trip(tmp_path / "rows", items, None, dtype), strict=True):
        assert back.dtype == np.float32
        assert back == pytest.approx(item, abs=tolerance)
        assert normalisation_error(back) < 1e-5


def test_impossible_columns_come_back_as_log_zero(tmp_path: Path) -> None:
    row = np.array([[0.0, -np.inf, -20_000.0]], dtype=np.float32)
    (back,) = round_trip(tmp_path / "rows", [row], None, "float16")
    assert back.tolist() == [[0.0, LOG_ZERO, LOG_ZERO]]


def test_the_tail_is_kept_and_spread_evenly() -> None:
    rows = np.log(np.array([[0.05, 0.5, 0.03, 0.4, 0.02]], dtype=np.float32))
    sparse = to_sparse(rows, 2)
    assert sparse.indices.tolist() == [[1, 3]]
    assert sparse.indices.dtype == np.int16
    assert np.exp(sparse.tail) == pytest.approx([0.1], rel=1e-5)
    assert np.exp(to_dense(sparse, 5)[0]) == pytest.approx([0.1 / 3, 0.5, 0.1 / 3, 0.4, 0.1 / 3], rel=1e-5)


def test_a_row_without_tail() -> None:
    rows = np.maximum(np.log(np.array([[0.0, 1.0, 0.0, 0.0]]) + 1e-300), LOG_ZERO).astype(np.float32)
    rows[rows < -600] = LOG_ZERO
    assert np.exp(to_dense(to_sparse(rows, 1), 4)).tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_wide_rows_need_wide_indices() -> None:
    rows = np.full((1, 40_000), -np.log(40_000), dtype=np.float32)
    rows[0, 39_999] += 1
    sparse = to_sparse(rows, 1)
    assert sparse.indices.dtype == np.int32
    assert sparse.indices.tolist() == [[39_999]]


@pytest.mark.parametrize("top_k", [1, 4, 10])
def test_sparse_rows_keep_the_top_and_the_mass(tmp_path: Path, top_k: int) -> None:
    items = random_items(11)
    for item, back in zip(items, round_trip(tmp_path / "rows", items, top_k, "float32"), strict=True):
        top = np.argsort(-item, axis=1)[:, :top_k]
        assert np.take_along_axis(back, top, 1) == pytest.approx(np.take_along_axis(item, top, 1), abs=1e-5)
        assert normalisation_error(back) < 1e-5


def test_top_k_of_all_columns_is_dense() -> None:
    assert set(pack_rows(random_items(5)[0], 5, "float16")) == {"values"}
    assert set(pack_rows(random_items(5)[0], 4, "float16")) == {"values", "indices", "tail"}
