"""Manifests of others: what is read, how ids and splits come about, and what is refused."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kdspeech.corpora import manifest
from kdspeech.errors import ManifestError
from kdspeech.utterance import Utterance

Rows = Sequence[Mapping[str, Any]]


def read(path: Path, speaker_field: str = "speaker") -> Sequence[Utterance]:
    return manifest.read(path, speaker_field).utterances


def _write(folder: Path, rows: Rows) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _row(audio: str = "a.wav", **changes: Any) -> dict[str, Any]:
    return {"audio_filepath": audio, "text": "Yes", "speaker": "ann", **changes}


def _rows(speakers: int, productions: int, microphones: int = 1) -> list[dict[str, Any]]:
    return [
        _row(f"s{s}_p{p}_m{m}.wav", speaker=f"s{s}", production_id=f"s{s}_p{p}")
        for s in range(speakers)
        for p in range(productions)
        for m in range(microphones)
    ]


def test_fields_are_taken_over(tmp_path: Path) -> None:
    row = _row("wavs/a.wav", duration=1.5, utt_id="u1", split="valid", production_id="p1", block="B3", band="LOW")
    (utterance,) = read(_write(tmp_path, [row]))
    assert utterance.audio_filepath == str(tmp_path / "wavs" / "a.wav")
    assert (utterance.utt_id, utterance.duration, utterance.text) == ("u1", 1.5, "Yes")
    assert (utterance.speaker, utterance.split, utterance.production_id) == ("ann", "valid", "p1")
    assert (utterance.block, utterance.band, utterance.audio_sha256) == ("B3", "LOW", "")


def test_an_absolute_path_stays_and_a_relative_one_starts_at_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    utterances = read(_write(tmp_path / "lists", [_row("/data/a.wav"), _row("../wavs/b.wav")]))
    assert [u.audio_filepath for u in utterances] == ["/data/a.wav", str(tmp_path / "wavs" / "b.wav")]


def test_the_speaker_field_can_have_another_name(tmp_path: Path) -> None:
    rows = [{"audio_filepath": "a.wav", "text": "yes", "spk": 12}]
    assert read(_write(tmp_path, rows), speaker_field="spk")[0].speaker == "12"
    with pytest.raises(ManifestError, match=r"line 1: no speaker among audio_filepath, text, spk .*--speaker-field"):
        read(_write(tmp_path, rows))


def test_ids_are_file_names_where_these_are_unique(tmp_path: Path) -> None:
    utterances = read(_write(tmp_path, [_row("x/a.wav"), _row("y/b.wav")]))
    assert [u.utt_id for u in utterances] == ["a", "b"]
    assert [u.production_id for u in utterances] == ["a", "b"]


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_id_or_split_is_none(tmp_path: Path, nothing: str | None) -> None:
    rows = [_row(f"{name}.wav", utt_id=nothing, split=nothing, production_id=nothing) for name in "ab"]
    utterances = read(_write(tmp_path, rows))
    assert [(u.utt_id, u.production_id) for u in utterances] == [("a", "a"), ("b", "b")]
    assert {u.split for u in utterances} <= {"train", "valid", "test"}


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = _write(tmp_path, [_row("a.wav")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [u.utt_id for u in read(path)] == ["a"]


def test_ids_are_paths_where_file_names_repeat(tmp_path: Path) -> None:
    utterances = read(_write(tmp_path, [_row("wavs/ann/1.wav"), _row("wavs/bob/1.wav", speaker="bob")]))
    assert [u.utt_id for u in utterances] == ["ann/1", "bob/1"]


def test_a_split_of_ten_percent_each_by_speaker(tmp_path: Path) -> None:
    utterances = read(_write(tmp_path, _rows(speakers=3, productions=40)))
    for speaker in ("s0", "s1", "s2"):
        counts = Counter(u.split for u in utterances if u.speaker == speaker)
        assert counts == {"train": 32, "valid": 4, "test": 4}


def test_a_production_stays_in_one_split(tmp_path: Path) -> None:
    utterances = read(_write(tmp_path, _rows(speakers=2, productions=10, microphones=7)))
    splits: dict[str, set[str]] = {}
    for utterance in utterances:
        splits.setdefault(utterance.production_id, set()).add(utterance.split)
    assert all(len(of_one) == 1 for of_one in splits.values())
    assert Counter(next(iter(s)) for s in splits.values()) == {"train": 16, "valid": 2, "test": 2}


def test_the_split_depends_on_no_order_and_no_other_speaker(tmp_path: Path) -> None:
    rows = _rows(speakers=3, productions=20)
    whole = {u.utt_id: u.split for u in read(_write(tmp_path, rows))}
    assert {u.utt_id: u.split for u in read(_write(tmp_path, rows[::-1]))} == whole
    alone = read(_write(tmp_path, rows[:20]))
    assert {u.utt_id: u.split for u in alone} == {i: s for i, s in whole.items() if i.startswith("s0")}


@pytest.mark.parametrize(("productions", "valid"), [(1, 0), (2, 0), (3, 1), (4, 1), (12, 1), (25, 2)])
def test_a_speaker_of_three_productions_has_one_to_validate(tmp_path: Path, productions: int, valid: int) -> None:
    utterances = read(_write(tmp_path, _rows(speakers=1, productions=productions)))
    counts = Counter(u.split for u in utterances)
    assert counts["valid"] == valid
    assert counts["train"] >= 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "yes", "speaker": "ann"}, "no audio_filepath"),
        ({"audio_filepath": "a.wav", "speaker": "ann"}, "no text"),
        (_row(speaker=None), "no speaker"),
        (_row(offset=2.5), r"offset 2\.5: parts of files are not supported"),
        (_row(duration="long"), "duration 'long' is not a number"),
        (_row(text=3), "text 3 is not a text"),
        (["a.wav"], "expected a JSON object, found list"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(ManifestError, match=rf"corpus\.jsonl has 1 faults: line 2: {message}"):
        read(_write(tmp_path, [_row(), row]))


def test_what_a_line_leaves_open_is_unknown(tmp_path: Path) -> None:
    (utterance,) = read(_write(tmp_path, [_row(text="", duration=None, offset=None, band=None)]))
    assert (utterance.text, utterance.duration, utterance.band) == ("", 0.0, "")


def test_a_line_ends_at_a_line_feed_only(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(json.dumps(_row(text="yes\u2028no"), ensure_ascii=False) + "\n")
    assert read(tmp_path / "corpus.jsonl")[0].text == "yes\u2028no"


def test_all_wrong_lines_are_counted(tmp_path: Path) -> None:
    path = _write(tmp_path, [_row(speaker="")] * 30)
    path.write_text(path.read_text() + "{\n")
    with pytest.raises(ManifestError, match=r"has 31 faults: line 1: .*line 10: .*; \.\.\."):
        read(path)


def test_a_split_on_some_lines_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="1 of 2 lines have a `split`"):
        read(_write(tmp_path, [_row("a.wav", split="train"), _row("b.wav")]))


def test_fields_that_nobody_uses_are_said(tmp_path: Path) -> None:
    (gap,) = manifest.read(_write(tmp_path, [_row(lang="en", offset=0, duraton=3)])).gaps
    assert gap.endswith("not used: duraton, lang.")


def test_a_missing_or_empty_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.jsonl does not exist"):
        read(tmp_path / "gone.jsonl")
    with pytest.raises(ManifestError, match=r"corpus\.jsonl holds no utterances"):
        read(_write(tmp_path, []))
