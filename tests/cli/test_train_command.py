"""`kdspeech train`: flags, and what it hands to the library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import make_workspace


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    return make_workspace(tmp_path / "w", Lexicon(("one", "two")), vocabulary)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Catches what the command asks of the library."""
    caught: list[dict[str, Any]] = []

    def train(workspace: Workspace, held_out: str, mode: str, **settings: Any) -> Path:
        caught.append({"root": workspace.root, "held_out": held_out, "mode": mode, **settings})
        return Path("the/run")

    monkeypatch.setattr("kdspeech.training.train.train", train)
    return caught


def test_defaults(workspace: Workspace, calls: list[dict[str, Any]], run_cli: Callable[..., Any]) -> None:
    done = run_cli("train", "--workspace", workspace.root, "--held-out", "anna")
    assert (done.exit_code, done.stdout) == (0, "the/run\n")
    assert calls[0]["mode"] == "decoder-kd"
    assert (calls[0]["held_out"], calls[0]["teachers"], calls[0]["seed"], calls[0]["force"]) == ("anna", None, 0, False)
    assert calls[0]["recipe"].name == "conformer_xs_from_speechbrain"


def test_every_flag(workspace: Workspace, calls: list[dict[str, Any]], run_cli: Callable[..., Any]) -> None:
    flags = ["--mode", "ctc-kd", "--teachers", "bert,carl", "--seed", "3", "--force", "--set", "stages.0.epochs=4"]
    assert run_cli("train", "--workspace", workspace.root, "--held-out", "anna", *flags).exit_code == 0
    assert calls[0]["mode"] == "ctc-kd"
    assert (calls[0]["teachers"], calls[0]["seed"], calls[0]["force"]) == (["bert", "carl"], 3, True)
    assert calls[0]["recipe"].stages[0].epochs == 4


def test_wrong_usage_is_exit_code_2(workspace: Workspace, run_cli: Callable[..., Any]) -> None:
    assert run_cli("train", "--workspace", workspace.root).exit_code == 2
    assert run_cli("train", "--workspace", workspace.root, "--held-out", "anna", "--mode", "magic").exit_code == 2
    both = run_cli(
        "train", "--workspace", workspace.root, "--held-out", "anna", "--mode", "labels", "--teachers", "bert"
    )
    assert both.exit_code == 2
    assert "--teachers has no meaning with --mode labels" in both.stderr


def test_failures_are_exit_code_1(workspace: Workspace, tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    nobody = run_cli("train", "--workspace", workspace.root, "--held-out", "dora", "--mode", "labels")
    assert nobody.exit_code == 1
    assert "unknown speaker 'dora'" in nobody.stderr
    empty = run_cli("train", "--workspace", tmp_path / "nowhere", "--held-out", "anna")
    assert empty.exit_code == 1
    assert "kdspeech prepare" in empty.stderr
