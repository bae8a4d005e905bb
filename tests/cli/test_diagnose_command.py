"""`kdspeech diagnose`: which run it takes, exit codes, and what a person sees."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdspeech import students
from kdspeech.files import read_json
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.supervision import Supervision
from kdspeech.training.train import train
from kdspeech.utterance import write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, make_workspace

RunCli = Callable[..., Any]
RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Runs of a student that hears everything from the start, for two held-out speakers."""
    lexicon = Lexicon(("one", "two", "six"))
    family = FakeStudents(lexicon)
    monkeypatch.setattr("kdspeech.students.build_student", family.build_student)
    monkeypatch.setattr("kdspeech.students.starting_speakers", family.starting_speakers)
    workspace = make_workspace(tmp_path / "w", lexicon, vocabulary)
    for speaker in ("anna", "bert"):
        train(workspace, speaker, "labels", recipe=RECIPE, students=family)
    return workspace


def test_the_newest_run_is_taken_and_the_table_printed(workspace: Workspace, run_cli: RunCli) -> None:
    done = run_cli("diagnose", "--workspace", workspace.root, "--quick")
    assert "bert/labels/seed0, the newest run that fits" in done.stderr
    assert "held-out bert 100 %" in done.stdout
    for check in ("vocabulary", "teacher dumps", "targets", "frame rates", "overfit one batch", "what trains"):
        assert check in done.stdout
    assert done.exit_code == 0
    assert "No fault found" in done.stdout
    run = workspace.run_dir(RECIPE.name, "bert", "labels", 0)
    assert str(run / "diagnosis.json") in done.stdout
    verdicts = {finding["check"]: finding["verdict"] for finding in read_json(run / "diagnosis.json")["findings"]}
    assert (verdicts["teacher dumps"], verdicts["overfit one batch"]) == ("skipped", "skipped")


def test_a_run_with_other_supervision_is_found_by_its_flags(workspace: Workspace, run_cli: RunCli) -> None:
    adapted = train(
        workspace, "bert", "labels", recipe=RECIPE, students=students, supervision=Supervision(0.5, adapt=True)
    )
    flags = ("--mode", "labels", "--labels", "0.5", "--adapt-unlabelled")
    done = run_cli("diagnose", "--workspace", workspace.root, "--quick", *flags)
    assert (done.exit_code, f"Taking {adapted}, the newest run" in done.stderr) == (0, True), done.stderr
    assert run_cli("diagnose", "--workspace", workspace.root, "--labels", "0.5").exit_code == 2


def test_a_failing_check_is_exit_code_1(workspace: Workspace, run_cli: RunCli) -> None:
    write_manifest(workspace.manifest_path, [replace(u, block="B2") for u in workspace.utterances])
    run = workspace.run_dir(RECIPE.name, "anna", "labels", 0)
    done = run_cli("diagnose", "--workspace", workspace.root, "--quick", "--run", run)
    assert done.exit_code == 1
    assert "First cause: another manifest." in done.stdout


def test_no_run_and_no_speaker(workspace: Workspace, run_cli: RunCli) -> None:
    none = run_cli("diagnose", "--workspace", workspace.root, "--held-out", "carl")
    assert (none.exit_code, "holds no run (held-out speaker carl" in none.stderr) == (1, True)
    unknown = run_cli("diagnose", "--workspace", workspace.root, "--held-out", "dora")
    assert (unknown.exit_code, "unknown speaker 'dora'" in unknown.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [("--mode", "magic"), ("--run", ".", "--seed", "0")])
def test_wrong_usage(workspace: Workspace, run_cli: RunCli, arguments: tuple[str, ...]) -> None:
    assert run_cli("diagnose", "--workspace", workspace.root, *arguments).exit_code == 2
