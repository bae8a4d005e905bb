"""`kdspeech prepare simulated`: one command from nothing to a prepared corpus."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kdspeech.simulation import corpus
from kdspeech.simulation.words import all_words
from kdspeech.workspace import Workspace
from tests.conftest import CommandResult

RunCli = Callable[..., CommandResult]


@pytest.fixture
def _few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    few = tuple(word for word in all_words() if word.text in ("november", "one", "left", "sentence"))
    monkeypatch.setattr(corpus, "small_words", lambda: few)


@pytest.mark.usefixtures("_few_words")
def test_the_corpus_is_spoken_prepared_and_can_be_listened_to(run_cli: RunCli, tmp_path: Path) -> None:
    arguments = ("prepare", "simulated", "--speakers", "M08,F02", "--jobs", "1", "--workspace", tmp_path)
    result = run_cli(*arguments, "--listen")
    assert result.exit_code == 0, result.stderr
    workspace = Workspace(tmp_path)
    assert (workspace.corpus.corpus, workspace.corpus.recipe) == ("simulated", "conformer_xs_from_simulated")
    assert workspace.speakers == ["F02", "M08"]
    assert len(workspace.utterances) == 2 * 3 * 4
    assert {u.band for u in workspace.utterances} == {"LOW", "HIGH"}
    assert {u.split for u in workspace.utterances if u.block == "B2"} == {"test"}
    assert set(workspace.lexicon.words) == {"november", "one", "left", "sentence"}
    assert "Simulated speakers" in (tmp_path / "reports" / "listen.html").read_text()
    again = run_cli(*arguments)
    assert again.stderr.count("up to date") == 2


@pytest.mark.usefixtures("_few_words")
def test_the_seed_reaches_the_voices(run_cli: RunCli, tmp_path: Path) -> None:
    for seed in (0, 1):
        run_cli(
            "prepare",
            "simulated",
            "--speakers",
            "M08",
            "--seed",
            seed,
            "--jobs",
            1,
            "--workspace",
            tmp_path / str(seed),
        )
    first, second = ({u.audio_sha256 for u in Workspace(tmp_path / str(seed)).utterances} for seed in (0, 1))
    assert len(first) == len(second) == 12
    assert not first & second


@pytest.mark.usefixtures("_few_words")
def test_nothing_is_spoken_into_the_workspace_of_another_corpus(
    run_cli: RunCli, tmp_path: Path, digits_folder: Path
) -> None:
    workspace = tmp_path / "workspace"
    run_cli("prepare", "fsdd", "--root", digits_folder, "--workspace", workspace)
    result = run_cli("prepare", "simulated", "--speakers", "M08", "--jobs", "1", "--workspace", workspace)
    assert result.exit_code == 1
    assert "holds the corpus fsdd" in result.stderr
    assert not (workspace / "corpora").exists()


def test_any_of_the_fifteen_may_speak_the_small_size(run_cli: RunCli, tmp_path: Path) -> None:
    result = run_cli("prepare", "simulated", "--speakers", "M04", "--jobs", 1, "--workspace", tmp_path)
    assert result.exit_code == 0
    assert {u.speaker for u in Workspace(tmp_path).utterances} == {"M04"}


def test_an_unknown_speaker_is_named(run_cli: RunCli, tmp_path: Path) -> None:
    result = run_cli("prepare", "simulated", "--speakers", "M99", "--workspace", tmp_path)
    assert result.exit_code == 1
    assert "unknown speaker 'M99' in the simulated corpus" in result.stderr


def test_a_wrong_size_is_wrong_usage(run_cli: RunCli, tmp_path: Path) -> None:
    assert run_cli("prepare", "simulated", "--size", "huge", "--workspace", tmp_path).exit_code == 2


def test_the_help_needs_no_folder(run_cli: RunCli) -> None:
    result = run_cli("prepare", "simulated", "--help")
    assert result.exit_code == 0
    assert "--root" not in result.stdout
    assert "--listen" in result.stdout
