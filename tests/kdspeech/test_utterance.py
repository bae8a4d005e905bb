"""The manifest and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kdspeech.errors import ManifestError
from kdspeech.utterance import Utterance, check_utterances, read_manifest, speakers_of, write_manifest

_ONE = Utterance("u1", "/audio/u1.wav", 0.5, "zero", "ann", "train", production_id="p1", audio_sha256="1")
_TWO = Utterance("u2", "/audio/u2.wav", 0.75, "öne", "bob", "test", microphone="M2", audio_sha256="2")


def test_a_manifest_comes_back(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [_ONE, _TWO])
    assert read_manifest(tmp_path / "m.jsonl") == [_ONE, _TWO]


def test_a_manifest_is_what_nemo_reads(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [_ONE, _TWO])
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [(row["audio_filepath"], row["duration"], row["text"]) for row in rows] == [
        ("/audio/u1.wav", 0.5, "zero"),
        ("/audio/u2.wav", 0.75, "öne"),
    ]


def test_keys_of_others_are_passed_over(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [_ONE])
    row = json.loads((tmp_path / "m.jsonl").read_text())
    (tmp_path / "m.jsonl").write_text(json.dumps({**row, "lang": "en"}) + "\n")
    assert read_manifest(tmp_path / "m.jsonl") == [_ONE]


def test_speakers_stand_in_order_of_appearance() -> None:
    assert speakers_of([_TWO, _ONE, _TWO]) == ["bob", "ann"]


def test_a_missing_manifest_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="kdspeech prepare"):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ('{"utt_id": "u2"}', r"line 2: not an utterance \(.*audio_filepath"),
        ("3", r"line 2: not an utterance \(Expected `object`, got `int`\)"),
    ],
)
def test_a_line_that_is_no_utterance_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [_ONE])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ManifestError, match=message):
        read_manifest(path)


def test_an_id_that_stands_twice_is_refused_with_both_files(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"'u1' stands twice: /audio/u1.wav and /audio/u2.wav"):
        check_utterances([_ONE, replace(_TWO, utt_id="u1")], tmp_path)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="'u1' has split 'dev'"):
        check_utterances([replace(_ONE, split="dev")], tmp_path)


def test_a_production_in_two_splits_is_refused(tmp_path: Path) -> None:
    other = replace(_ONE, utt_id="u3", split="valid")
    with pytest.raises(ManifestError, match="'p1' of ann is in two splits: 'u1' in train, 'u3' in valid"):
        check_utterances([_ONE, other], tmp_path)


def test_no_utterances_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no utterances"):
        check_utterances([], tmp_path)
