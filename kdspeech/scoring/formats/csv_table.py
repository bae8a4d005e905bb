"""CSV with a heading line, SpeechBrain's data files among them: columns by the names in `rows`, others passed over."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kdspeech.files import atomic_path
from kdspeech.scoring.formats.rows import (
    AUDIO_NAMES,
    CONFIDENCE_NAMES,
    DETAIL_NAMES,
    DETAILS,
    HYPOTHESIS_NAMES,
    ID_NAMES,
    REFERENCE_NAMES,
    Format,
    FormatError,
    Row,
    Written,
    fault,
)

_EXPECTED = "a heading line with utt_id and text or hypothesis, and as many cells in each line"
_DELIMITERS = (",", ";", "\t")


def _read(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            table = csv.reader(file, delimiter=_delimiter(first), strict=True)
            yield from _rows(path, table)
    except (csv.Error, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not CSV in UTF-8 ({error}). Expected {_EXPECTED}.") from error


def _rows(path: Path, table: Iterator[list[str]]) -> Iterator[Row]:
    names = [name.strip() for name in next(table, [])]
    utt_id, audio = _column(names, ID_NAMES), _column(names, AUDIO_NAMES)
    hypothesis, reference = _column(names, HYPOTHESIS_NAMES), _column(names, REFERENCE_NAMES)
    text = reference if hypothesis is None else hypothesis
    if text is None or (utt_id is None and audio is None):
        raise fault(path, 1, f"columns {', '.join(names)}", _EXPECTED)
    confidence = _column(names, CONFIDENCE_NAMES)
    details = [_column(names, DETAIL_NAMES[detail]) for detail in DETAILS]
    for cells in table:
        if not cells:
            continue
        line: int = table.line_num  # type: ignore[attr-defined]  # the last line of a quoted cell of several
        if len(cells) != len(names):
            raise fault(path, line, f"{len(cells)} cells under {len(names)} headings", _EXPECTED)
        yield Row(
            line,
            "" if utt_id is None else cells[utt_id].strip(),
            cells[text],
            None if hypothesis is None or reference is None else cells[reference],
            None if confidence is None else _number(path, line, cells[confidence]),
            "" if audio is None else cells[audio],
            tuple("" if column is None else cells[column] for column in details),
        )


def _number(path: Path, line: int, cell: str) -> float | None:
    try:
        return float(cell) if cell.strip() else None
    except ValueError as error:
        raise fault(path, line, f"confidence {cell!r}", "a number") from error


def _delimiter(heading: str) -> str:
    return max(_DELIMITERS, key=heading.count)


def _column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _recognises(_path: Path, head: str) -> bool:
    """By its headings, so that a line of a Kaldi file with a comma is none; two columns without headings are `tsv`."""
    heading = head.partition("\n")[0].strip()
    names = [name.strip().strip('"') for name in heading.split(_delimiter(heading))]
    texts = _column(names, HYPOTHESIS_NAMES + REFERENCE_NAMES)
    return len(names) > 1 and texts is not None and _column(names, ID_NAMES + AUDIO_NAMES) is not None


def _write(path: Path, rows: Iterable[Written]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("utt_id", "hypothesis", "confidence"))
        table.writerows(
            (row.utt_id, row.text, "" if row.confidence is None else f"{row.confidence:.6g}") for row in rows
        )


CSV = Format("csv", "CSV with a heading line", _recognises, _read, _write)
