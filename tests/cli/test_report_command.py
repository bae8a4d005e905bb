"""`kdspeech report`: which run it takes, where the page goes, and exit codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, make_workspace

RunCli = Callable[..., Any]
RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Runs for two held-out speakers, not evaluated."""
    lexicon = Lexicon(("one", "two", "six"))
    family = FakeStudents(lexicon)
    monkeypatch.setattr("kdspeech.students.build_student", family.build_student)
    workspace = make_workspace(tmp_path / "w", lexicon, vocabulary)
    for speaker in ("anna", "bert"):
        train(workspace, speaker, "labels", recipe=RECIPE, students=family)
    return workspace


def test_the_newest_run_that_fits_is_taken(workspace: Workspace, run_cli: RunCli) -> None:
    done = run_cli("report", "--workspace", workspace.root, "--held-out", "anna")
    assert done.exit_code == 0
    path = workspace.reports_dir / f"run-{RECIPE.name}-anna-labels-seed0.html"
    assert str(path) in done.stdout.replace("\n", "")
    assert "<h1>labels student, anna held out, seed 0</h1>" in path.read_text()


def test_runs_are_compared(workspace: Workspace, run_cli: RunCli, tmp_path: Path) -> None:
    runs = [workspace.run_dir(RECIPE.name, speaker, "labels", 0) for speaker in ("anna", "bert")]
    done = run_cli("report", "--workspace", workspace.root, *runs, "--out", tmp_path / "both.html", "--no-audio")
    assert done.exit_code == 0
    assert "<h1>2 runs compared</h1>" in (tmp_path / "both.html").read_text()


def test_wrong_usage(workspace: Workspace, run_cli: RunCli, tmp_path: Path) -> None:
    both = run_cli("report", "--workspace", workspace.root, tmp_path, "--held-out", "anna")
    assert (both.exit_code, "not both" in both.stderr) == (2, True)
    assert run_cli("report", "--workspace", workspace.root, "--labels", "0.1").exit_code == 2
    folder = run_cli("report", "--workspace", workspace.root, tmp_path)
    assert (folder.exit_code, "is not a run" in folder.stderr) == (1, True)
