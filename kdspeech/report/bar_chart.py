"""Bars of a report: percentages of several systems, in groups, with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One system; all values in %."""

    name: str
    value: float
    low: float
    high: float
    kind: int = 0  # bars of a kind look alike: 0 what the page is about, 1 what it is compared with, 2 oracles


@dataclass(frozen=True)
class BarGroup:
    """One speaker, or one band."""

    name: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class BarChart:
    """Groups of bars from 0 to 100 %. On a page: `{{ charts.bars(chart) }}`, with its numbers beneath it."""

    caption: str
    groups: Sequence[BarGroup]

    @property
    def description(self) -> str:
        """The chart in a sentence, for those who do not see it."""
        groups = (
            f"{group.name}: {', '.join(f'{bar.name} {bar.value:.1f}' for bar in group.bars)}" for group in self.groups
        )
        return f"{self.caption}. {'; '.join(groups)}."

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the numbers."""
        return ("system", *(group.name for group in self.groups))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The numbers: a row for each system."""
        names = dict.fromkeys(bar.name for group in self.groups for bar in group.bars)
        found = [{bar.name: bar for bar in group.bars} for group in self.groups]
        return [(name, *(_cell(bars.get(name)) for bars in found)) for name in names]


def _cell(bar: Bar | None) -> str:
    return "–" if bar is None else f"{bar.value:.1f} ({bar.low:.1f} to {bar.high:.1f})"
