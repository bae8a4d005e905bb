"""`kdspeech dump-teachers` and `kdspeech aggregate` as the shell sees them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdspeech.lexicon import Lexicon
from kdspeech.targets.target_set import TargetSet
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeTeachers, add_teacher, make_workspace


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = make_workspace(tmp_path / "ws", Lexicon(("one", "two")), vocabulary, repetitions=3)
    for speaker in workspace.speakers:
        add_teacher(workspace, speaker)
    monkeypatch.setattr("kdspeech.teachers.load_teacher", FakeTeachers().load_teacher, raising=False)
    return workspace


def test_dump_and_aggregate(workspace: Workspace, run_cli: Callable[..., Any]) -> None:
    where = ("--workspace", workspace.root)
    dumped = run_cli("dump-teachers", "--speakers", "anna,bert", "--jobs", 1, *where)
    assert dumped.exit_code == 0
    assert "greedy CTC" in dumped.stdout
    pooled = run_cli("aggregate", "--held-out", "carl", "--set", "targets.temperature=4", *where)
    assert pooled.exit_code == 0
    assert "ceiling without carl" in pooled.stdout
    again = run_cli("dump-teachers", "--speakers", "anna,bert", "--jobs", 1, *where)
    assert again.exit_code == 0
    assert "16 shards are already stored" in again.stderr
    quiet = run_cli("dump-teachers", "--speakers", "anna,bert", "--jobs", 1, "--quiet", *where)
    assert quiet.stderr == ""
    assert "greedy CTC" in quiet.stdout


def test_a_teacher_named_twice_is_pooled_once(workspace: Workspace, run_cli: Callable[..., Any]) -> None:
    """The cached targets are those that `train` would ask for by the same names."""
    where = ("--workspace", workspace.root)
    run_cli("dump-teachers", "--speakers", "anna,bert", "--jobs", 1, *where)
    for names in ("anna,anna,bert", "anna,bert"):
        assert run_cli("aggregate", "--held-out", "carl", "--teachers", names, *where).exit_code == 0
    (targets,) = workspace.targets_dir.rglob("*.safetensors")
    assert list(TargetSet.load(targets).details["teachers"]) == ["anna", "bert"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["dump-teachers"], 2, "--speakers"),
        (["dump-teachers", "--speakers", "anna", "--kinds", "ctc,words"], 2, "expected some of ctc, decoder, word"),
        (["dump-teachers", "--speakers", "zoe"], 1, "unknown speaker 'zoe'"),
        (["dump-teachers", "--speakers", "anna", "--on", "zoe"], 1, "unknown speaker 'zoe'"),
        (["aggregate"], 2, "--held-out"),
        (["aggregate", "--held-out", "zoe"], 1, "unknown speaker 'zoe'"),
        (["aggregate", "--held-out", "anna", "--teachers", "bert,zoe"], 1, "unknown speaker 'zoe'"),
        (["aggregate", "--held-out", "anna"], 1, "dump-teachers --speakers bert --on bert"),
        (["aggregate", "--held-out", "anna", "--set", "targets.tempature=4"], 1, "targets.tempature"),
    ],
)
def test_wrong_calls(
    workspace: Workspace, run_cli: Callable[..., Any], arguments: list[str], exit_code: int, message: str
) -> None:
    result = run_cli(*arguments, "--workspace", workspace.root)
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert not workspace.dumps_dir.exists()
    assert not workspace.targets_dir.exists()
