"""Checkpoints: whole or absent, plain enough for torch.load(weights_only=True)."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kdspeech.errors import RunError
from kdspeech.files import atomic_path


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes under a temporary name and renames, so that a kill never leaves a broken file."""
    with atomic_path(path) as temporary:
        torch.save(dict(state), temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU; nothing in it is executed.

    Raises:
        RunError: it is missing or broken.
    """
    if not path.exists():
        raise RunError(f"{path} does not exist. Run `kdspeech train` to the end of an epoch at least.")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise RunError(f"{path} is not a readable checkpoint ({error}). Redo the run with --force.") from error
    return state


class CheckpointFolder:
    """`last.ckpt`, from which a run is continued, `best.ckpt`, and the best k by validation score."""

    def __init__(self, folder: Path, keep: int) -> None:
        """`keep`: how many of the best stay; with 1 that is best.ckpt alone."""
        self._folder, self._keep = folder, keep
        self._ranking: list[tuple[float, str]] = []  # best first

    @property
    def best(self) -> tuple[float, str] | None:
        """Score and epoch of best.ckpt."""
        return self._ranking[0] if self._ranking else None

    def resume(self) -> dict[str, Any] | None:
        """The last finished epoch's state, or None; drops files of an epoch that did not finish."""
        if not (self._folder / "last.ckpt").exists():
            return None
        state = load_checkpoint(self._folder / "last.ckpt")
        self._ranking = [(score, name) for score, name in state["ranking"]]
        self._sweep()
        return state

    def save(self, state: Mapping[str, Any], score: float, name: str) -> None:
        """Stores an epoch: as best.ckpt and among the best if it is, and as last.ckpt at the very end.

        Args:
            state: `student` holds the weights; whatever else resuming needs is kept in last.ckpt only.
        """
        ranking = sorted([*self._ranking, (score, name)], key=lambda entry: -entry[0])  # of equals, the first stays
        self._ranking = ranking[: self._keep]
        names = [kept for _, kept in self._ranking]
        slim = {"student": state["student"], "name": name, "score": score}
        if names[0] == name:
            save_checkpoint(self._folder / "best.ckpt", slim)
        if self._keep > 1 and name in names:
            save_checkpoint(self._folder / f"{name}.ckpt", slim)
        save_checkpoint(self._folder / "last.ckpt", {**state, "ranking": [list(entry) for entry in self._ranking]})
        self._sweep()

    def _sweep(self) -> None:
        wanted = {"best", "last", *(name for _, name in self._ranking)}
        for path in [*self._folder.glob("*.ckpt"), *self._folder.glob(".*.ckpt.*")]:  # the latter: torn writes
            if path.stem not in wanted:
                path.unlink()
