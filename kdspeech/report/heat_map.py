"""A heat map of a report: a table whose cells are shaded, so that it reads without colours, too."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class HeatCell:
    """One cell."""

    text: str
    shade: float = 0.0  # 0 to 1
    marked: bool = False  # framed: the diagonal


@dataclass(frozen=True)
class HeatMap:
    """On a page: `{{ charts.heat_map(map) }}`."""

    caption: str
    corner: str  # what rows and columns are: "teacher \\ speaker"
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]  # its heading, then a cell for each column
