"""The FSDD reader: names, splits, and folders that are something else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kdspeech.corpora.fsdd import read
from kdspeech.errors import ManifestError


def test_names_give_word_speaker_and_split(digits_folder: Path) -> None:
    utterances = {u.utt_id: u for u in read(digits_folder).utterances}
    assert len(utterances) == 24
    one = utterances["1_bob_5"]
    assert (one.text, one.speaker, one.split, one.production_id) == ("one", "bob", "valid", "1_bob_5")
    assert one.audio_filepath == str(digits_folder / "recordings" / "1_bob_5.wav")
    assert {u.split for i, u in utterances.items() if i.endswith("_0")} == {"test"}
    assert {u.split for i, u in utterances.items() if i.endswith(("_8", "_9"))} == {"train"}


def test_the_split_is_by_index(tmp_path: Path) -> None:
    for index in range(12):
        (tmp_path / f"3_ann_{index}.wav").touch()
    splits = {u.utt_id: u.split for u in read(tmp_path).utterances}
    assert [splits[f"3_ann_{index}"] for index in range(12)] == ["test"] * 5 + ["valid"] * 3 + ["train"] * 4


def test_the_folder_of_the_recordings_does_as_well(digits_folder: Path) -> None:
    assert read(digits_folder / "recordings") == read(digits_folder)


def test_the_ending_may_be_in_capitals(tmp_path: Path) -> None:
    for name in ("3_ann_1.wav", "3_ann_2.WAV"):
        (tmp_path / name).touch()
    assert [Path(u.audio_filepath).name for u in read(tmp_path).utterances] == ["3_ann_1.wav", "3_ann_2.WAV"]


def test_production_ids_are_unique_over_speakers(digits_folder: Path) -> None:
    utterances = read(digits_folder).utterances
    assert len({u.production_id for u in utterances}) == len(utterances)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone is not a folder.*--root"):
        read(tmp_path / "gone")


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"holds no \.wav files"):
        read(tmp_path)


def test_a_file_of_another_name_is_not_guessed_at(digits_folder: Path, write_wav: Callable[..., Path]) -> None:
    write_wav(digits_folder / "recordings" / "ten_ann_1.wav")
    with pytest.raises(ManifestError, match=r"1 WAV files are not named like FSDD's.*ten_ann_1\.wav"):
        read(digits_folder)
