"""A table of a report: the same for the terminal and for the page."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells are texts already; a row's first cell names it. On a page: `{{ parts.draw(table) }}`."""

    caption: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    text: tuple[int, ...] = ()  # columns of words, which stand on the left
    total: bool = False  # the last row sums up the others
