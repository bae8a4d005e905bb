"""sclite's .trn: the words, then the utterance id in round brackets."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from kdspeech.files import atomic_path
from kdspeech.scoring.formats.lines import one_word_id
from kdspeech.scoring.formats.rows import Format, Row, Written, fault, numbered_lines

_LINE = re.compile(r"(?P<text>.*?)\s*\((?P<utt_id>[^()\s]+)\)\s*")
_COMMENT = ";;"


def _read(path: Path) -> Iterator[Row]:
    for number, line in numbered_lines(path):
        if line.startswith(_COMMENT):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise fault(path, number, f"{line[-60:]!r} does not end with an id in brackets", "words (utt_id)")
        if "{" in found["text"] and "/" in found["text"]:
            raise fault(path, number, "alternatives in braces", "one text for each utterance")
        yield Row(number, found["utt_id"], found["text"].lstrip())


def _recognises(path: Path, head: str) -> bool:
    whole = head.rpartition("\n")[0] or head  # the last line of a long file is cut
    spoken = [line for line in whole.splitlines() if line.strip() and not line.startswith(_COMMENT)]
    return path.suffix == ".trn" or (bool(spoken) and all(_LINE.fullmatch(line) for line in spoken))


def _write(path: Path, rows: Iterable[Written]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(" ".join([*row.text.split(), f"({one_word_id(row.utt_id)})"]) + "\n" for row in rows)


TRN = Format("trn", "sclite's trn: words (utt_id)", _recognises, _read, _write)
