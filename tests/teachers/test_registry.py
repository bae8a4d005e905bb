"""What a source is taken for, and what is refused at once."""

import time
from pathlib import Path

import pytest

from kdspeech.errors import TeacherError
from kdspeech.model_folders.teacher_folder import write_teacher_card
from kdspeech.protocols import TeacherCard
from kdspeech.teachers import load_teacher
from kdspeech.teachers.registry import find_source


def test_folder_with_hyperparams_is_speechbrain(tmp_path: Path) -> None:
    (tmp_path / "hyperparams.yaml").touch()
    assert find_source(str(tmp_path)) == ("speechbrain", str(tmp_path))
    assert find_source(f"speechbrain:{tmp_path}") == ("speechbrain", str(tmp_path))


def test_nemo_file_is_nemo(tmp_path: Path) -> None:
    (tmp_path / "m.nemo").touch()
    assert find_source(str(tmp_path / "m.nemo")) == ("nemo", str(tmp_path / "m.nemo"))


def test_local_path_comes_before_a_published_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia" / "model").mkdir(parents=True)
    (tmp_path / "nvidia" / "model" / "hyperparams.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert find_source("nvidia/model") == ("speechbrain", str(tmp_path / "nvidia" / "model"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nvidia/stt_en_conformer_ctc_small", ("nemo", "nvidia/stt_en_conformer_ctc_small")),
        ("stt_en_conformer_ctc_small", ("nemo", "stt_en_conformer_ctc_small")),
        ("speechbrain/asr-conformer", ("speechbrain", "speechbrain/asr-conformer")),
        ("nemo:somebody/model", ("nemo", "somebody/model")),
    ],
)
def test_published_names(
    source: str, expected: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_source(source) == expected


@pytest.mark.parametrize("source", ["/no/such/folder", "missing.nemo", "./here/model", "a/b/c", "somebody/model"])
def test_missing_source_is_refused_at_once(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    with pytest.raises(TeacherError, match=f"{source} (does not exist|is not on disk)"):
        find_source(source)
    assert time.monotonic() - started < 0.5


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    with pytest.raises(TeacherError, match=r"neither a \.nemo file"):
        find_source(str(tmp_path / "weights.pt"))
    with pytest.raises(TeacherError, match=r"without hyperparams\.yaml"):
        find_source(str(tmp_path))


def test_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="kdspeech train-teachers --speakers F02"):
        load_teacher(tmp_path / "F02")


def test_unknown_backend_is_refused(tmp_path: Path) -> None:
    write_teacher_card(tmp_path, TeacherCard("F02", "kaldi", ".", None, "", ""))
    with pytest.raises(TeacherError, match="unknown backend 'kaldi'"):
        load_teacher(tmp_path)
