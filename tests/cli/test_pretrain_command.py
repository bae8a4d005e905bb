"""`kdspeech pretrain` and `--encoder`: what they hand to the library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import make_workspace

PRETRAINED = ("--recipe", "conformer_xs_from_pretrained")


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    return make_workspace(tmp_path / "w", Lexicon(("one", "two")), vocabulary)


def catch(monkeypatch: pytest.MonkeyPatch, function: str, result: Any = None) -> list[dict[str, Any]]:
    """Catches what a command asks of the library."""
    calls: list[dict[str, Any]] = []

    def caught(place: Workspace, *_: Any, **settings: Any) -> Any:
        calls.append({"root": place.root, **settings})
        return result

    monkeypatch.setattr(function, caught)
    return calls


def test_flags_reach_the_library(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, run_cli: Callable[..., Any]
) -> None:
    calls = catch(monkeypatch, "kdspeech.pretraining.pretrain.pretrain")
    done = run_cli("pretrain", "--workspace", workspace.root, *PRETRAINED)
    assert (done.exit_code, done.stdout) == (0, f"{workspace.root}/pretrained/encoder.nemo\n")
    flags = ("--seed", 3, "--jobs", 1, "--force", "--no-evaluate", "--set", "pretraining.utterances_per_word=50")
    assert run_cli("pretrain", "--workspace", workspace.root, *PRETRAINED, *flags).exit_code == 0
    first, second = ({key: call[key] for key in ("seed", "jobs", "force", "evaluate")} for call in calls)
    assert first == {"seed": 0, "jobs": None, "force": False, "evaluate": True}
    assert second == {"seed": 3, "jobs": 1, "force": True, "evaluate": False}
    assert calls[1]["recipe"].pretraining.utterances_per_word == 50


def test_a_recipe_without_pretraining_names_one_that_has(workspace: Workspace, run_cli: Callable[..., Any]) -> None:
    done = run_cli("pretrain", "--workspace", workspace.root)  # the workspace's own recipe is from scratch
    assert done.exit_code == 1
    assert "--recipe conformer_xs_from_pretrained" in done.stderr


def test_training_without_a_pretraining_says_what_to_run(workspace: Workspace, run_cli: Callable[..., Any]) -> None:
    flags = ("--workspace", workspace.root, *PRETRAINED)
    for command in (("train", "--held-out", "anna", "--mode", "labels"), ("train-teachers", "--speakers", "all")):
        done = run_cli(*command, *flags)
        assert done.exit_code == 1, command
        assert "Run `kdspeech pretrain`" in done.stderr


@pytest.mark.parametrize("recipe", ["conformer_xs_from_pretrained", "conformer_xs_from_speechbrain"])
@pytest.mark.parametrize("encoder", ["mine.nemo", "nvidia/stt_en_conformer_ctc_small", "pretrained"])
def test_encoder_takes_the_place_of_the_recipes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, run_cli: Callable[..., Any], recipe: str, encoder: str
) -> None:
    calls = catch(monkeypatch, "kdspeech.training.train.train")
    flags = ("--workspace", workspace.root, "--held-out", "anna", "--recipe", recipe)
    assert run_cli("train", *flags, "--encoder", encoder).exit_code == 0
    student = calls[0]["recipe"].student
    assert (student.encoder, student.encoder_config) == (encoder, None)


def test_loso_takes_an_encoder_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, run_cli: Callable[..., Any]
) -> None:
    class Table:
        def print(self) -> None: ...

    calls = catch(monkeypatch, "kdspeech.evaluation.loso.loso", Table())
    assert run_cli("loso", "--workspace", workspace.root, "--encoder", "mine.nemo").exit_code == 0
    assert calls[0]["recipe"].student.encoder == "mine.nemo"
