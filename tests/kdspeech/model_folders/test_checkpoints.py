"""Checkpoints: which are kept, and that a broken one is named."""

from pathlib import Path

import pytest
import torch

from kdspeech.errors import RunError
from kdspeech.model_folders.checkpoints import CheckpointFolder, load_checkpoint, save_checkpoint


def save(folder: CheckpointFolder, name: str, score: float) -> None:
    folder.save({"student": {"w": torch.tensor([score])}, "optimizer": {}, "epoch": 1}, score, name)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_best_and_last_and_nothing_else(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    for name, score in (("e1", 0.2), ("e2", 0.7), ("e3", 0.7), ("e4", 0.5)):
        save(folder, name, score)
    assert names(tmp_path) == {"best.ckpt", "last.ckpt"}
    assert load_checkpoint(tmp_path / "best.ckpt")["name"] == "e2"  # of equals, the first
    assert load_checkpoint(tmp_path / "last.ckpt")["student"]["w"].item() == 0.5
    assert "optimizer" not in load_checkpoint(tmp_path / "best.ckpt")
    assert folder.best == (0.7, "e2")


def test_top_k(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    for name, score in (("e1", 0.2), ("e2", 0.7), ("e3", 0.1), ("e4", 0.5)):
        save(folder, name, score)
    assert names(tmp_path) == {"best.ckpt", "last.ckpt", "e2.ckpt", "e4.ckpt"}


def test_resuming_restores_the_ranking_and_drops_an_unfinished_epoch(tmp_path: Path) -> None:
    save(CheckpointFolder(tmp_path, keep=2), "e1", 0.9)
    save_checkpoint(tmp_path / "e2.ckpt", {})  # written just before the kill; last.ckpt does not know it
    (tmp_path / ".last.ckpt.abc").write_bytes(b"half")
    folder = CheckpointFolder(tmp_path, keep=2)
    state = folder.resume()
    assert state is not None
    assert state["epoch"] == 1
    assert folder.best == (0.9, "e1")
    assert names(tmp_path) == {"best.ckpt", "last.ckpt", "e1.ckpt"}
    assert CheckpointFolder(tmp_path / "empty", keep=1).resume() is None


def test_broken_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(RunError, match=r"x\.ckpt is not a readable checkpoint.*--force"):
        load_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(RunError, match=r"y\.ckpt does not exist"):
        load_checkpoint(tmp_path / "y.ckpt")


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    torch.save({"student": Path("/")}, tmp_path / "x.ckpt")
    with pytest.raises(RunError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "x.ckpt")
