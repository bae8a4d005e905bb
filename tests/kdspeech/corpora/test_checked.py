"""The memory of measured recordings: what it keeps, and what it does not believe."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kdspeech.corpora import checked
from kdspeech.corpora.checked import file_states, measure_recordings, read_memory
from kdspeech.corpora.measuring import FileState, Measured, measure
from kdspeech.errors import KdspeechError

WriteWav = Callable[..., Path]


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "manifests" / "checked.jsonl"


@pytest.fixture
def paths(tmp_path: Path, write_wav: WriteWav) -> list[str]:
    return [str(write_wav(tmp_path / f"{name}.wav", duration_s=0.1, seed=seed)) for seed, name in enumerate("abc")]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were measured."""
    paths: list[str] = []

    def counted(path: str, state: FileState | None) -> Measured:
        paths.append(path)
        return measure(path, state)

    monkeypatch.setattr(checked, "measure", counted)
    return paths


def test_what_was_measured_comes_back(memory: Path, paths: list[str], opened: list[str]) -> None:
    first = measure_recordings(file_states(paths), memory)
    assert list(first) == paths
    assert measure_recordings(file_states(paths), memory) == first
    assert sorted(opened) == paths


def test_a_changed_file_is_measured_again_and_its_old_line_forgotten(
    memory: Path, paths: list[str], opened: list[str]
) -> None:
    measure_recordings(file_states(paths), memory)
    for time_ns in range(1, 6):
        os.utime(paths[1], ns=(time_ns, time_ns))
        measure_recordings(file_states(paths), memory)
    assert opened[3:] == [paths[1]] * 5
    assert memory.read_bytes().count(b"\n") <= 5  # the header, three files, and at most one line that was replaced
    assert {path: row.state for path, row in read_memory(memory).items()} == file_states(paths)


def test_files_of_other_calls_are_kept(memory: Path, paths: list[str], opened: list[str]) -> None:
    measure_recordings(file_states(paths[:1]), memory)
    measure_recordings(file_states(paths[1:]), memory)
    measure_recordings(file_states(paths), memory)
    assert opened == paths


def test_afresh_forgets(memory: Path, paths: list[str], opened: list[str]) -> None:
    measure_recordings(file_states(paths), memory)
    measure_recordings(file_states(paths[:1]), memory, afresh=True)
    assert opened[3:] == paths[:1]
    assert list(read_memory(memory)) == paths[:1]


@pytest.mark.parametrize("cut", [1, 30])
def test_a_torn_last_line_costs_one_recording(memory: Path, paths: list[str], opened: list[str], cut: int) -> None:
    measure_recordings(file_states(paths), memory)
    memory.write_bytes(memory.read_bytes()[:-cut])
    measure_recordings(file_states(paths), memory)
    assert len(opened) == 4
    assert sorted(read_memory(memory)) == paths


def test_a_foreign_line_is_passed_over(memory: Path, paths: list[str], opened: list[str]) -> None:
    measure_recordings(file_states(paths), memory)
    header, *lines = memory.read_bytes().splitlines(keepends=True)
    memory.write_bytes(b"".join([header, b'{"path": 3}\n', *lines]))
    measure_recordings(file_states(paths), memory)
    assert len(opened) == 3


def test_what_was_measured_in_another_way_is_not_believed(memory: Path, paths: list[str], opened: list[str]) -> None:
    measure_recordings(file_states(paths), memory)
    memory.write_bytes(memory.read_bytes().replace(b'"version":1', b'"version":0'))
    measure_recordings(file_states(paths), memory)
    assert len(opened) == 6
    assert len(read_memory(memory)) == 3


def test_a_missing_file_is_not_remembered(memory: Path, tmp_path: Path, write_wav: WriteWav) -> None:
    path = str(tmp_path / "late.wav")
    assert measure_recordings(file_states([path]), memory)[path].fault_kind == "missing"
    write_wav(Path(path))
    assert measure_recordings(file_states([path]), memory)[path].fault == ""


def test_a_memory_that_cannot_be_written_is_named(tmp_path: Path, paths: list[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KdspeechError, match=r"cannot write .*checked\.jsonl"):
        measure_recordings(file_states(paths), tmp_path / "file" / "checked.jsonl")
