"""One utterance a line: `utt_id<TAB>text`, and Kaldi's and ESPnet's `text`, where the first blank ends the id."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from kdspeech.errors import KdspeechError
from kdspeech.files import atomic_path
from kdspeech.scoring.formats.rows import (
    HYPOTHESIS_NAMES,
    ID_NAMES,
    REFERENCE_NAMES,
    Format,
    Row,
    Written,
    fault,
    numbered_lines,
)


def _read_tabs(path: Path) -> Iterator[Row]:
    for number, line in numbered_lines(path):
        utt_id, tab, text = line.partition("\t")
        if not tab or not utt_id.strip() or "\t" in text:
            raise fault(path, number, f"{line[:60]!r} has {line.count(chr(9))} tabs", "utt_id<TAB>text")
        if number == 1 and utt_id in ID_NAMES and text in HYPOTHESIS_NAMES + REFERENCE_NAMES:
            continue
        yield Row(number, utt_id.strip(), text)


def _read_blanks(path: Path) -> Iterator[Row]:
    for number, line in numbered_lines(path):
        utt_id, *text = line.split(maxsplit=1)  # an id alone is an empty text
        yield Row(number, utt_id, text[0] if text else "")


def _write_tabs(path: Path, rows: Iterable[Written]) -> None:
    _write(path, (f"{row.utt_id}\t{' '.join(row.text.split())}\n" for row in rows))


def _write_blanks(path: Path, rows: Iterable[Written]) -> None:
    _write(path, (" ".join([one_word_id(row.utt_id), *row.text.split()]) + "\n" for row in rows))


def one_word_id(utt_id: str) -> str:
    """The id, for formats in which a blank would end it.

    Raises:
        KdspeechError: the id has a blank.
    """
    if not utt_id or len(utt_id.split()) != 1:
        raise KdspeechError(f"utterance id {utt_id!r} has a blank, which this format cannot hold; write jsonl or csv.")
    return utt_id


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(lines)


TABS = Format("tsv", "utt_id<TAB>text", lambda _path, head: "\t" in head.partition("\n")[0], _read_tabs, _write_tabs)
KALDI = Format(
    "kaldi", "Kaldi's and ESPnet's text: utt_id words", lambda _path, _head: True, _read_blanks, _write_blanks
)
