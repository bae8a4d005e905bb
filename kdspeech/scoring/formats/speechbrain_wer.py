"""SpeechBrain's `wer_*.txt`, as `speechbrain.dataio.wer.print_alignments` writes it: reference and hypothesis, aligned.

A block is a header with the id and the counts, and three lines with the same columns: reference, operation, hypothesis.
Columns are read off the line of operations (`=`, S, D, I), whose cells cannot hold the separator; a word may.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from kdspeech.scoring.formats.rows import Format, Row, fault, numbered_lines

_HEADER = re.compile(
    r"(?P<utt_id>.+), %WER \S+ \[ \d+ / \d+, (?P<I>\d+) ins, (?P<D>\d+) del, (?P<S>\d+) sub \]\s*",
)
_SEPARATOR = " ; "
_EXPECTED = "a header `utt_id, %WER ...` and three lines of one length: reference, operations, hypothesis"


def _read(path: Path) -> Iterator[Row]:
    lines = numbered_lines(path, blank=True)  # of two empty texts, three blank lines are written
    found_any = False
    for number, line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            continue
        found_any = True
        reference, operations, hypothesis = (next(lines, (number, ""))[1] for _ in range(3))
        columns = _columns(operations)
        counts = {kind: sum(operations[column].strip() == kind for column in columns) for kind in "SDI"}
        whole = len(reference) == len(operations) == len(hypothesis)
        if not whole or any(counts[kind] != int(header[kind]) for kind in "SDI"):
            raise fault(path, number, f"the lines of {header['utt_id']!r} do not fit together", _EXPECTED)
        yield Row(
            number,
            header["utt_id"].strip(),
            _text(hypothesis, operations, columns, empty="D"),
            _text(reference, operations, columns, empty="I"),
        )
    if not found_any:
        raise fault(path, 1, "no utterance", _EXPECTED)


def _columns(operations: str) -> list[slice]:
    columns, start = [], 0
    for cell in operations.split(_SEPARATOR) if operations.strip() else []:
        columns.append(slice(start, start + len(cell)))
        start += len(cell) + len(_SEPARATOR)
    return columns


def _text(words: str, operations: str, columns: list[slice], empty: str) -> str:
    """The words without `<eps>`, which stands where the other side has a word and this has none."""
    return " ".join(words[column].strip() for column in columns if operations[column].strip() != empty)


SPEECHBRAIN = Format("speechbrain", "SpeechBrain's wer_*.txt", lambda _path, head: head.startswith("%WER "), _read)
