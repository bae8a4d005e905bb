"""`kdspeech transcribe`: what it prints and writes, and its exit codes."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdspeech import students
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, make_workspace

RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))
RunCli = Callable[..., Any]


@pytest.fixture
def workspace(tmp_path: Path, lexicon: Lexicon, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """With one run; its student hears every word."""
    family = FakeStudents(lexicon)
    monkeypatch.setattr(students, "build_student", family.build_student)
    monkeypatch.setattr(students, "starting_speakers", family.starting_speakers)
    made = make_workspace(tmp_path / "w", lexicon, vocabulary, repetitions=3)
    train(made, "bert", "labels", recipe=RECIPE, students=family)
    return made


def test_json_lines_to_a_file_and_to_standard_output(workspace: Workspace, run_cli: RunCli, tmp_path: Path) -> None:
    files = [u.audio_filepath for u in workspace.utterances[:3]]
    out = tmp_path / "heard.jsonl"
    done = run_cli("transcribe", *files, "--workspace", workspace.root, "--json", "--out", out, "--quiet")
    assert done.exit_code == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["hypothesis"] for row in rows] == [u.text for u in workspace.utterances[:3]]
    assert done.stdout == out.read_text(encoding="utf-8")
    assert "holds no calibration" in done.stderr


def test_calibrated_after_eval_and_ranked_in_the_table(workspace: Workspace, run_cli: RunCli) -> None:
    mode = ("--decode-mode", "lexicon")
    assert run_cli("eval", "--workspace", workspace.root, *mode).exit_code == 0
    done = run_cli(
        "transcribe", workspace.utterances[0].audio_filepath, "--workspace", workspace.root, *mode, "--nbest", 3
    )
    assert (done.exit_code, "holds no calibration" in done.stderr) == (0, False)
    assert done.stdout.count(" %") == 3
    assert workspace.utterances[0].text in done.stdout


def test_standard_input(workspace: Workspace, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(workspace.utterances[4].audio_filepath).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), read=lambda *_: ""))
    done = run_cli("transcribe", "-", "--workspace", workspace.root, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["hypothesis"] == workspace.utterances[4].text
    assert run_cli("transcribe", "-", "-", "--workspace", workspace.root).exit_code == 2


def test_a_broken_file_is_exit_code_1_and_the_rest_is_done(
    workspace: Workspace, run_cli: RunCli, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no audio")
    done = run_cli(
        "transcribe", broken, workspace.utterances[0].audio_filepath, "--workspace", workspace.root, "--json"
    )
    assert done.exit_code == 1
    assert json.loads(done.stdout)["hypothesis"] == workspace.utterances[0].text
    assert "broken.wav: not a readable audio file" in done.stderr
    assert "1 of 2 recordings" in done.stderr


def test_wrong_usage_and_failures(workspace: Workspace, run_cli: RunCli, tmp_path: Path) -> None:
    assert run_cli("transcribe").exit_code == 2
    assert run_cli("transcribe", "x.wav", "--nbest", 3).exit_code == 2  # greedy CTC has one
    nothing = run_cli("transcribe", "x.wav", "--workspace", tmp_path / "nowhere")
    assert (nothing.exit_code, "kdspeech train" in nothing.stderr) == (1, True)
