"""A file under its name is whole, or is not there."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from kdspeech.decoding.priors import load_priors
from kdspeech.errors import KdspeechError
from kdspeech.files import (
    atomic_path,
    check_writable,
    read_json,
    read_text,
    sha256_of_file,
    sha256_of_folder,
    write_json,
    write_text,
)
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.scoring.homophone_files import read_homophones


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with contextlib.suppress(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        _ = 1 // 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_makes_its_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "b" / "c" / "a.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KdspeechError, match=r"cannot write .*--workspace"):
        write_text(tmp_path / "file" / "a.txt", "text")


def test_check_writable_finds_the_file_in_the_way_and_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KdspeechError, match="is a file, not a folder"):
        check_writable(tmp_path / "file" / "b" / "c")
    check_writable(tmp_path / "b" / "c")
    assert not (tmp_path / "b").exists()


def test_json_comes_back(tmp_path: Path) -> None:
    value = {"words": ["é", "x"], "count": 3}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_errors_name_the_file_and_the_line(tmp_path: Path) -> None:
    with pytest.raises(KdspeechError, match=r"gone\.json does not exist"):
        read_json(tmp_path / "gone.json")
    (tmp_path / "a.json").write_text('{\n"a": }')
    with pytest.raises(KdspeechError, match=r"a\.json is not valid JSON \(line 2"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "read",
    [
        read_text,
        Lexicon.load,
        lambda path: read_homophones(str(path)),
        lambda path: load_priors(path, Lexicon(("a",))),
        lambda path: load_recipe(str(path)),
    ],
)
def test_text_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("a\ncafé\n".encode("latin-1"))
    with pytest.raises(KdspeechError, match=r"words\.txt, line 2: expected .* UTF-8, found the byte 0xe9\. .*iconv"):
        read(path)


def test_json_that_is_not_utf_8_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes('{"words": ["café"]}'.encode("utf-16"))
    with pytest.raises(KdspeechError, match=r"a\.json, line 1: .* found the byte 0xff"):
        read_json(tmp_path / "a.json")
    with pytest.raises(KdspeechError, match=f"cannot read {tmp_path}"):
        read_text(tmp_path)


def test_the_hash_of_a_file_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"speech")
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"speech").hexdigest()


def test_the_hash_of_a_folder_sees_names_and_bytes(tmp_path: Path) -> None:
    def folder(name: str, **files: str) -> Path:
        for file, text in files.items():
            write_text(tmp_path / name / file, text)
        return tmp_path / name

    first = sha256_of_folder(folder("one", a="1", b="2"))
    assert first == sha256_of_folder(folder("two", b="2", a="1"))
    assert first != sha256_of_folder(folder("three", a="2", b="1"))
    assert first != sha256_of_folder(folder("four", a="1", c="2"))
