"""`kdspeech prepare`: exit codes and messages, good input and bad."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kdspeech.workspace import Workspace

RunCli = Callable[..., Any]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def _manifest(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_fsdd_is_prepared(run_cli: RunCli, digits_folder: Path, workspace: Path) -> None:
    result = run_cli("prepare", "fsdd", "--root", digits_folder, "--workspace", workspace)
    assert result.exit_code == 0, result.stderr
    assert "24 utterances" in result.stderr
    assert "distinct words" in result.stdout
    assert Workspace(workspace).speakers == ["ann", "bob", "cid"]


def test_quiet_leaves_the_table_only(run_cli: RunCli, digits_folder: Path, workspace: Path) -> None:
    result = run_cli("prepare", "fsdd", "--root", digits_folder, "--workspace", workspace, "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "distinct words" in result.stdout


def test_the_workspace_can_come_from_the_environment(
    run_cli: RunCli, digits_folder: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDSPEECH_WORKSPACE", str(workspace))
    assert run_cli("prepare", "fsdd", "--root", digits_folder, "--speakers", "ann,bob").exit_code == 0
    assert Workspace(workspace).speakers == ["ann", "bob"]


def test_a_second_call_says_that_nothing_is_to_be_done(run_cli: RunCli, digits_folder: Path, workspace: Path) -> None:
    run_cli("prepare", "fsdd", "--root", digits_folder, "--workspace", workspace)
    result = run_cli("prepare", "fsdd", "--root", digits_folder, "--workspace", workspace)
    assert result.exit_code == 0
    assert "up to date" in result.stderr


def test_a_manifest_is_prepared(
    run_cli: RunCli, tmp_path: Path, workspace: Path, write_wav: Callable[..., Path]
) -> None:
    write_wav(tmp_path / "a.wav")
    manifest = _manifest(tmp_path, {"audio_filepath": "a.wav", "text": "Yes", "spk": "ann"})
    result = run_cli("prepare", "manifest", manifest, "--speaker-field", "spk", "--workspace", workspace)
    assert result.exit_code == 0, result.stderr
    (utterance,) = Workspace(workspace).utterances
    assert (utterance.speaker, utterance.text) == ("ann", "yes")


def test_settings_and_lexicon_reach_the_library(
    run_cli: RunCli, tmp_path: Path, workspace: Path, write_wav: Callable[..., Path]
) -> None:
    write_wav(tmp_path / "a.wav")
    (tmp_path / "words.txt").write_text("yes\nno\n")
    manifest = _manifest(tmp_path, {"audio_filepath": "a.wav", "text": "yes", "speaker": "ann"})
    recipe = ("--recipe", "conformer_small_from_speechbrain", "--set", "vocabulary.model_type=char")
    result = run_cli(
        "prepare", "manifest", manifest, "--lexicon", tmp_path / "words.txt", *recipe, "--workspace", workspace
    )
    assert result.exit_code == 0, result.stderr
    assert Workspace(workspace).corpus.recipe == "conformer_small_from_speechbrain"
    assert set(Workspace(workspace).vocabulary.pieces[3:]) == {"\u2581", *"yesno"}


@pytest.mark.parametrize("corpus", [("fsdd", "--root", "here"), ("simulated",)])
def test_a_setting_that_prepare_would_drop_is_refused(
    run_cli: RunCli, workspace: Path, corpus: tuple[str, ...]
) -> None:
    result = run_cli("prepare", *corpus, "--set", "targets.temperature=4", "--workspace", workspace)
    assert result.exit_code == 1
    assert "--set targets.temperature has no effect on `kdspeech prepare`" in result.stderr
    assert not workspace.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "fsdd"), "Missing option '--root'"),
        (("prepare", "manifest"), "Missing argument 'FILE'"),
        (("prepare", "timit"), "No such command 'timit'"),
        (("prepare", "fsdd", "--root", "x", "--colour", "red"), "No such option"),
        (("prepare", "fsdd", "--root", "x", "--speakers", ","), "expected names separated by commas"),
    ],
)
def test_wrong_usage_ends_with_2(run_cli: RunCli, arguments: tuple[str, ...], message: str) -> None:
    result = run_cli(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_missing_folder(run_cli: RunCli, tmp_path: Path, workspace: Path) -> None:
    result = run_cli("prepare", "fsdd", "--root", tmp_path / "gone", "--workspace", workspace)
    assert result.exit_code == 1
    assert "gone is not a folder" in result.stderr
    assert "Traceback" not in result.stderr
    assert not workspace.exists()


def _make_empty(path: Path) -> None:
    soundfile.write(path, np.zeros(0), 16_000)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _fill_with_nan(path: Path) -> None:
    soundfile.write(path, np.full(9_600, np.nan), 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(_make_empty, "is empty"), (_truncate, "is truncated"), (_fill_with_nan, "holds NaN")],
)
def test_a_broken_recording(
    run_cli: RunCli, digits_folder: Path, workspace: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(digits_folder / "recordings" / "1_bob_8.wav")
    command = ("prepare", "fsdd", "--root", digits_folder, "--workspace", workspace)
    result = run_cli(*command, "--strict")
    assert result.exit_code == 1
    assert "1_bob_8.wav" in result.stderr
    assert message in result.stderr
    assert "leave out --strict" in result.stderr
    assert not Workspace(workspace).manifest_path.exists()
    result = run_cli(*command)
    assert result.exit_code == 0
    assert "1 of 24 utterances cannot be used and are left out" in result.stderr
    assert "1_bob_8.wav" in result.stderr
    assert len(Workspace(workspace).utterances) == 23
    assert [fault.utt_id for fault in Workspace(workspace).faults] == ["1_bob_8"]


def test_a_report_is_printed_and_written(run_cli: RunCli, digits_folder: Path, workspace: Path) -> None:
    result = run_cli("prepare", "fsdd", "--root", digits_folder, "--workspace", workspace, "--report")
    assert result.exit_code == 0, result.stderr
    assert "By split" in result.stdout
    assert "24 utterances" in result.stderr
    assert (workspace / "reports" / "corpus.html").read_text().startswith("<!doctype html>")


def test_a_text_outside_the_vocabulary(
    run_cli: RunCli, tmp_path: Path, workspace: Path, write_wav: Callable[..., Path]
) -> None:
    write_wav(tmp_path / "a.wav", duration_s=1.0)
    manifest = _manifest(tmp_path, {"audio_filepath": "a.wav", "text": "señor", "speaker": "ann"})
    result = run_cli("prepare", "manifest", manifest, "--workspace", workspace)
    assert result.exit_code == 1
    assert "a: its text 'señor' leaves the vocabulary" in result.stderr
    assert not Workspace(workspace).manifest_path.exists()


def test_a_duplicate_id(run_cli: RunCli, tmp_path: Path, workspace: Path) -> None:
    row = {"text": "yes", "speaker": "ann", "utt_id": "u1"}
    manifest = _manifest(tmp_path, {**row, "audio_filepath": "a.wav"}, {**row, "audio_filepath": "b.wav"})
    result = run_cli("prepare", "manifest", manifest, "--workspace", workspace)
    assert result.exit_code == 1
    assert "'u1' stands twice" in result.stderr
    assert not workspace.exists()


def test_an_unknown_speaker(run_cli: RunCli, digits_folder: Path, workspace: Path) -> None:
    result = run_cli("prepare", "fsdd", "--root", digits_folder, "--speakers", "dan", "--workspace", workspace)
    assert result.exit_code == 1
    assert "unknown speaker 'dan'" in result.stderr
    assert "ann, bob, cid" in result.stderr


def test_an_unwritable_workspace(run_cli: RunCli, tmp_path: Path, digits_folder: Path) -> None:
    """Below a regular file, since a superuser may write into any folder."""
    (tmp_path / "file").write_text("mine")
    result = run_cli("prepare", "fsdd", "--root", digits_folder, "--workspace", tmp_path / "file" / "workspace")
    assert result.exit_code == 1
    assert "cannot write below" in result.stderr
    assert "--workspace" in result.stderr
    assert (tmp_path / "file").read_text() == "mine"
