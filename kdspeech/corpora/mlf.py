"""HTK master label files: the labels of many recordings in one text file (The HTK Book 3.4, section 6.3)."""

import re
from pathlib import Path

from kdspeech.errors import ManifestError

_MAGIC = "#!MLF!#"
_ENTRY = re.compile(r'"(?P<pattern>.+)"')


def read_mlf(path: Path) -> dict[str, str]:
    """Reads word labels: the recording's name, without folder and ending, and its words, joined by spaces.

    A label line is `[start [end]] word [score ...]`; times and scores are dropped.

    Raises:
        ManifestError: the file is missing, not an MLF, or an entry is not closed by a dot.
    """
    if not path.is_file():
        raise ManifestError(f"{path} does not exist; expected an HTK master label file.")
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    if not lines or lines[0] != _MAGIC:
        raise ManifestError(f"{path}: expected an HTK master label file, which begins with {_MAGIC}.")
    texts: dict[str, str] = {}
    name, words = "", list[str]()
    for number, line in enumerate(lines[1:], start=2):
        entry = _ENTRY.fullmatch(line)
        if entry and not name:
            name, words = entry["pattern"].rpartition("/")[2].rpartition(".")[0], []
        elif line == "." and name:
            texts[name], name = " ".join(words), ""
        elif name and not entry:
            words.extend(_word(line))
        elif line:
            raise ManifestError(f'{path}, line {number}: found {line!r}; expected "*/NAME.lab", words, and a dot.')
    if name:
        raise ManifestError(f"{path} is cut short: the entry of {name} has no dot at its end. Copy the file again.")
    return texts


def _word(line: str) -> list[str]:
    fields = line.split()
    while len(fields) > 1 and fields[0].isdigit():  # start and end in units of 100 ns
        fields = fields[1:]
    return fields[:1]
