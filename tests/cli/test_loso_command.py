"""`kdspeech loso`: from flags to the table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdspeech import students, teachers
from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, FakeTeachers, add_teacher, make_workspace

RunCli = Callable[..., Any]


@pytest.fixture
def workspace(tmp_path: Path, lexicon: Lexicon, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    family = FakeStudents(lexicon, deaf_to=(1,))
    monkeypatch.setattr(students, "build_student", family.build_student)
    monkeypatch.setattr(students, "starting_speakers", family.starting_speakers)
    monkeypatch.setattr(teachers, "load_teacher", FakeTeachers().load_teacher)
    workspace = make_workspace(tmp_path, lexicon, vocabulary, repetitions=3)
    for speaker in workspace.speakers:
        add_teacher(workspace, speaker)
    return workspace


def test_one_table_at_the_end(workspace: Workspace, run_cli: RunCli) -> None:
    done = run_cli(
        "loso", "--workspace", workspace.root, "--speakers", "anna,bert", "--modes", "labels,ctc-kd", "--jobs", 1,
        "--set", "stages.0.epochs=1",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "student" in line]
    assert len(lines) == 2
    for line in lines:
        assert "100.0 / 100.0 / 100.0" in line
        assert "0.0 / 0.0 / 0.0" in line
        assert "50.0 / 50.0 / 50.0" in line
    assert "carl (30)" not in done.stdout
    assert (workspace.reports_dir / "loso.md").exists()


def test_an_unknown_speaker_is_named(workspace: Workspace, run_cli: RunCli) -> None:
    done = run_cli("loso", "--workspace", workspace.root, "--speakers", "anna,dora")
    assert done.exit_code == 1
    assert "'dora'" in done.stderr


@pytest.mark.parametrize("arguments", [("--modes", "labels,both"), ("--modes", ","), ("--jobs", "0")])
def test_wrong_usage(workspace: Workspace, run_cli: RunCli, arguments: tuple[str, ...]) -> None:
    assert run_cli("loso", "--workspace", workspace.root, *arguments).exit_code == 2
