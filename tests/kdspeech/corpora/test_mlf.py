"""HTK master label files: what is read, and what is refused."""

from pathlib import Path

import pytest

from kdspeech.corpora.mlf import read_mlf
from kdspeech.errors import ManifestError


def _write(folder: Path, text: str) -> Path:
    path = folder / "F02_word.mlf"
    path.write_text(text)
    return path


def test_names_and_words(tmp_path: Path) -> None:
    text = '#!MLF!#\n"*/F02_B1_C1_M2.lab"\nCOMMAND\n.\n"*/F02_B1_LX_M2.lab"\nX-RAY\n.\n'
    assert read_mlf(_write(tmp_path, text)) == {"F02_B1_C1_M2": "COMMAND", "F02_B1_LX_M2": "X-RAY"}


def test_times_and_scores_are_dropped(tmp_path: Path) -> None:
    text = '#!MLF!#\n"*/a.lab"\n0 3600000 GOOD -12.5\n3600000 9000000 DAY\n.\n"/data/b.rec"\nTWO\n.\n'
    assert read_mlf(_write(tmp_path, text)) == {"a": "GOOD DAY", "b": "TWO"}


def test_line_ends_of_another_system_do_not_matter(tmp_path: Path) -> None:
    assert read_mlf(_write(tmp_path, '#!MLF!#\r\n"*/a.lab"\r\nTAB\r\n.\r\n\r\n')) == {"a": "TAB"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with #!MLF!#"),
        ('"*/a.lab"\nTAB\n.\n', "begins with #!MLF!#"),
        ("#!MLF!#\nTAB\n.\n", "line 2: found 'TAB'"),
        ('#!MLF!#\n"*/a.lab"\nTAB\n"*/b.lab"\nTAB\n.\n', r"line 4: found '\"\*/b\.lab\"'"),
        ('#!MLF!#\n"*/a.lab"\nTAB\n', "cut short: the entry of a has no dot"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_mlf(_write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.mlf does not exist"):
        read_mlf(tmp_path / "gone.mlf")
