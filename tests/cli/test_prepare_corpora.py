"""`kdspeech prepare CORPUS`: one sub-command for each reader, with the reader's own options."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdspeech.cli.prepare import command
from kdspeech.corpora.registry import READERS
from kdspeech.workspace import Workspace

RunCli = Callable[..., Any]
WriteWav = Callable[..., Path]


@pytest.mark.parametrize("name", READERS)
def test_every_reader_has_a_command_with_its_options(name: str) -> None:
    reader, parameters = READERS[name], {p.name: p for p in command.commands[name].params}
    assert "root" not in parameters if reader.source == "workspace" else parameters["root"].required
    assert {"workspace", "speakers", "recipe", "force"} <= parameters.keys()
    for option in reader.options:
        default = reader.default_of(option)
        assert parameters[option.name].default == (",".join(default) if option.kind == "names" else default)


def test_uaspeech_from_its_folder(run_cli: RunCli, tmp_path: Path, write_wav: WriteWav) -> None:
    root = tmp_path / "UASpeech"
    words = {"D2": "TWO", "CW5": "TO", "LX": "X-RAY"}
    names = [f"{s}_{b}_{w}_M5" for s in ("F02", "M08") for b in ("B1", "B2", "B3") for w in words]
    for seed, name in enumerate(names):
        write_wav(root / "audio" / "normalized" / name[:3] / f"{name}.wav", seed=seed, duration_s=0.8)
    (root / "mlf" / "F02").mkdir(parents=True)
    entries = [f'"*/F02_{b}_{w}_M5.lab"\n{text}\n.\n' for b in ("B1", "B2", "B3") for w, text in words.items()]
    (root / "mlf" / "F02" / "F02_word.mlf").write_text("#!MLF!#\n" + "".join(entries))
    options = ("--version", "normalized", "--microphones", "M5,M6", "--blocks", "B1,B2", "--split", "by-block")
    result = run_cli("prepare", "uaspeech", "--root", root, *options, "--workspace", tmp_path / "workspace")
    assert result.exit_code == 0, result.stderr
    assert "13 of 15 speakers have no recordings" in " ".join(result.stderr.split())
    prepared = Workspace(tmp_path / "workspace")
    assert {(u.block, u.split) for u in prepared.utterances} == {("B1", "train"), ("B2", "valid")}
    assert {u.text for u in prepared.utterances} == {"two", "to", "x ray"}
    assert set(prepared.lexicon.words) == {"two", "to", "x ray"}
    assert prepared.lexicon.homophones == (("to", "two"),)
    assert prepared.corpus.recipe == "conformer_small_from_speechbrain"


def test_a_folder_with_a_pattern(run_cli: RunCli, tmp_path: Path, write_wav: WriteWav) -> None:
    for seed, name in enumerate(("ann_yes_1", "ann_no_1", "bob_yes_1")):
        write_wav(tmp_path / "recordings" / f"{name}.wav", seed=seed, duration_s=0.8)
    pattern = ("--pattern", "{speaker}_{word}_{take}.wav")
    run = ("prepare", "folder", "--root", tmp_path / "recordings", *pattern, "--workspace", tmp_path / "workspace")
    result = run_cli(*run)
    assert result.exit_code == 0, result.stderr
    assert Workspace(tmp_path / "workspace").speakers == ["ann", "bob"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("uaspeech", "--root", "x", "--microphones", "M9"), "expected some of all, M2, M3"),
        (("uaspeech", "--root", "x", "--version", "loud"), "'loud' is not one of"),
        (("torgo", "--root", "x", "--microphone", "M5"), "'M5' is not one of"),
        (("an4",), "Missing option '--root'"),
    ],
)
def test_wrong_usage_ends_with_2(run_cli: RunCli, arguments: tuple[str, ...], message: str) -> None:
    result = run_cli("prepare", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_unusable_pattern_ends_with_1(run_cli: RunCli, tmp_path: Path) -> None:
    result = run_cli("prepare", "folder", "--root", tmp_path, "--pattern", "{name}.wav", "--workspace", tmp_path / "w")
    assert result.exit_code == 1
    assert "there is no field {name}" in result.stderr
    assert "Traceback" not in result.stderr
