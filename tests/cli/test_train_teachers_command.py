"""`kdspeech train-teachers`: flags are checked before anything heavy is loaded."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kdspeech.cli.train_teachers import command
from kdspeech.teaching import train_teachers as teaching


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `train_teachers` was called with."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(teaching, "train_teachers", lambda *args, **kwargs: made.append({"args": args, **kwargs}))
    return made


def test_flags_reach_the_library(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    flags = [
        "--speakers",
        "F02,F03",
        "--teacher",
        "M01=own.nemo",
        "--teacher",
        "M04=nvidia/x",
        "--seed",
        "7",
        "--force",
    ]
    recipe = ["--recipe", "conformer_xs_from_speechbrain", "--set", "teacher.epochs=2", "--jobs", "3"]
    result = CliRunner().invoke(command, [*flags, *recipe, "--workspace", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    call = calls[0]
    assert call["args"][0].root == tmp_path
    assert call["args"][1] == ["F02", "F03"]
    assert call["external"] == {"M01": "own.nemo", "M04": "nvidia/x"}
    assert (call["seed"], call["force"], call["jobs"]) == (7, True, 3)
    assert call["recipe"].teacher.epochs == 2


@pytest.mark.parametrize(("flags", "backend"), [([], "speechbrain"), (["--backend", "nemo"], "nemo")])
def test_the_backend_is_the_recipes_unless_it_is_given(
    calls: list[dict[str, Any]], tmp_path: Path, flags: list[str], backend: str
) -> None:
    recipe = ["--speakers", "all", "--recipe", "conformer_xs_from_speechbrain", "--workspace", str(tmp_path)]
    assert CliRunner().invoke(command, [*recipe, *flags], catch_exceptions=False).exit_code == 0
    assert calls[0]["recipe"].teacher.backend == backend
    assert calls[0]["students"].__name__ == "kdspeech.students"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --speakers"),
        (["--teacher", "M01"], "expected SPEAKER=PATH_OR_NAME"),
        (["--teacher", "=x.nemo"], "expected SPEAKER=PATH_OR_NAME"),
        (["--teacher", "M01=a", "--teacher", "M01=b"], "M01 is given twice"),
        (["--speakers", ","], "names separated by commas"),
        (["--speakers", "all", "--backend", "espnet"], "'espnet' is not one of 'speechbrain', 'nemo'"),
    ],
)
def test_wrong_flags_are_usage_errors(calls: list[dict[str, Any]], flags: list[str], message: str) -> None:
    result = CliRunner().invoke(command, flags)
    assert result.exit_code == 2
    assert message in result.output
    assert calls == []
